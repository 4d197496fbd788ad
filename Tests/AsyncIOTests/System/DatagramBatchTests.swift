// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Datagram calls of the kernel")
struct DatagramBatchTests {
  private let kernel: any Kernel = LinuxKernel.shared

  /// Two sockets on the loopback interface, with their addresses.
  private func sockets(_ ip: String = "127.0.0.1") throws -> [(socket: Socket, address: SocketAddress)] {
    try (0..<2).map { _ in
      let address = try #require(SocketAddress(ip: ip, port: 0))
      let socket = try Socket(address.family, .datagram)
      try socket.bind(to: address)
      return (socket, try #require(socket.localAddress))
    }
  }

  @Test("A batch brings each datagram with its own size and sender, again and again")
  func batch() throws {
    let batch = DatagramBatch.ofPackets()
    // A longer address after a shorter one: what the kernel wrote for the last batch must not bound the next.
    for (round, ip) in ["127.0.0.1", "::1", "127.0.0.1", "::1"].enumerated() {
      let ends = try sockets(ip)
      let third = try sockets(ip)[0]
      let sizes = [round, 0, 65_507 - round, 7]
      for (index, size) in sizes.enumerated() {
        let sender = index.isMultiple(of: 2) ? ends[1] : third
        try kernel.send(sender.socket.descriptor, pattern(size).span, to: ends[0].address)
      }
      try kernel.receive(ends[0].socket.descriptor, into: batch)
      #expect(batch.count == 4)
      for (index, size) in sizes.enumerated() {
        #expect(batch.withBytes(index) { [UInt8](copying: $0) } == pattern(size))
        #expect(batch.sender(index) == (index.isMultiple(of: 2) ? ends[1].address : third.address))
        #expect(!batch.isTruncated(index))
      }
    }
  }

  @Test("A batch is bounded, and an empty socket would block")
  func bounds() throws {
    let ends = try sockets()
    let batch = DatagramBatch.ofPackets()
    let datagrams = (0..<40).map { OutgoingDatagram(pattern($0), to: ends[0].address) }
    #expect(try kernel.send(ends[1].socket.descriptor, datagrams) == 40)
    try kernel.receive(ends[0].socket.descriptor, into: batch)
    #expect(batch.count == batch.capacity)
    #expect(batch.withBytes(31) { $0.count } == 31)
    try kernel.receive(ends[0].socket.descriptor, into: batch)
    #expect(batch.count == 8)
    #expect(throws: Errno.wouldBlock) { try kernel.receive(ends[0].socket.descriptor, into: batch) }
    #expect(batch.count == 0)
  }

  @Test("A batch that is sent stops at the first datagram that fails")
  func sendFailure() throws {
    let ends = try sockets()
    let target = ends[0].address
    let tooLong = OutgoingDatagram([UInt8](repeating: 0, count: 65_508), to: target)
    let fine = OutgoingDatagram([1], to: target)
    #expect(try kernel.send(ends[1].socket.descriptor, [fine, fine, tooLong, fine]) == 2)
    #expect(throws: Errno.messageTooLong) { try kernel.send(ends[1].socket.descriptor, [tooLong, fine]) }
    let many = Array(repeating: OutgoingDatagram([], to: target), count: OutgoingDatagram.batchLimit + 1)
    #expect(try kernel.send(ends[1].socket.descriptor, many) == OutgoingDatagram.batchLimit)
  }

  @Test("One datagram with its sender; without an address it goes to the connected peer")
  func single() throws {
    let ends = try sockets()
    try ends[1].socket.connect(to: ends[0].address)
    try kernel.send(ends[1].socket.descriptor, "one".utf8Span.span, to: nil)
    #expect(try kernel.send(ends[1].socket.descriptor, [OutgoingDatagram([1, 2], to: nil)]) == 1)
    var buffer = [UInt8](repeating: 0, count: 8)
    var span = buffer.mutableSpan
    let first = try kernel.receiveFrom(ends[0].socket.descriptor, into: &span)
    #expect(first.count == 3 && first.sender == ends[1].address)
    #expect(span[0] == UInt8(ascii: "o"))
    #expect(try kernel.receiveFrom(ends[0].socket.descriptor, into: &span).count == 2)
    #expect(throws: Errno.wouldBlock) { try kernel.receiveFrom(ends[0].socket.descriptor, into: &span) }
  }
}
