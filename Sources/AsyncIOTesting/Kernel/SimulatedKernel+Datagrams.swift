// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

extension SimulatedKernel {
  func receiveFrom(_ descriptor: FileDescriptor, into buffer: inout MutableSpan<UInt8>) throws(Errno)
    -> (count: Int, sender: SocketAddress)
  {
    try enter(.receiveDatagram, descriptor)
    let socket: DatagramSocket = try file(descriptor)
    let (bytes, sender) = try socket.receive()
    note(.recvfrom, Int64(descriptor.rawValue), Int64(bytes.count))
    return (buffer.copyPrefix(of: bytes.span), sender)
  }

  func receive(_ descriptor: FileDescriptor, into batch: DatagramBatch) throws(Errno) {
    try enter(.receiveDatagram, descriptor)
    let socket: DatagramSocket = try file(descriptor)
    var received = [try socket.receive()]
    batch.fill { limit in
      let wanted = world.choices.share(of: limit)
      while received.count < wanted, !socket.isEmpty, let next = try? socket.receive() { received.append(next) }
      return received
    }
    note(.recvmmsg, Int64(descriptor.rawValue), Int64(batch.count))
  }

  func send(_ descriptor: FileDescriptor, _ datagram: Span<UInt8>, to address: SocketAddress?) throws(Errno) {
    try enter(.sendDatagram, descriptor)
    let socket: DatagramSocket = try file(descriptor)
    try socket.send(datagram, to: address)
    note(.sendto, Int64(descriptor.rawValue), Int64(datagram.count))
  }

  func send(_ descriptor: FileDescriptor, _ datagrams: [OutgoingDatagram]) throws(Errno) -> Int {
    var sent = 0
    for datagram in datagrams.prefix(OutgoingDatagram.batchLimit) {
      do throws(Errno) { try send(descriptor, datagram.bytes.span, to: datagram.address) } catch {
        // What is wrong with a later one is told when that is the first.
        if sent == 0 { throw error }
        break
      }
      sent += 1
    }
    return sent
  }

  func takeQueuedErrors(_ descriptor: FileDescriptor) -> [QueuedError] { [] }
}
