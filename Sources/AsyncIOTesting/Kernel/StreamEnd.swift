// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// One end of a stream, from its making to the close of its socket.
final class StreamEnd {
  private let world: World
  /// Who is told of changes; nil before it is accepted.
  weak var socket: StreamSocket?
  let outgoing: Flow
  private weak var incoming: Flow?
  let localAddress: SocketAddress
  let remoteAddress: SocketAddress
  private var inbox = ByteQueue()
  /// Whether the peer sends no more.
  private var sawEnd = false
  /// Whether we send no more.
  private var hasEnded = false
  /// What went wrong, for the next call to be told.
  private(set) var error: Errno?
  /// Whether nothing goes in or out any more.
  private var isBroken = false

  private init(_ world: World, _ outgoing: Flow, _ local: SocketAddress, _ remote: SocketAddress) {
    self.world = world
    self.outgoing = outgoing
    localAddress = local
    remoteAddress = remote
  }

  /// Two ends of one stream, each at its address. The path goes from the first to the second; nil inside of a host.
  static func pair(
    _ world: World, _ path: Path?, _ first: SocketAddress, _ second: SocketAddress, capacities: (Int, Int)
  ) -> (StreamEnd, StreamEnd) {
    let (there, back) = (
      Flow(world, path, capacity: capacities.0), Flow(world, path?.back, capacity: capacities.1)
    )
    let ends = (StreamEnd(world, there, first, second), StreamEnd(world, back, second, first))
    (there.source, there.target, there.reverse) = (ends.0, ends.1, back)
    (back.source, back.target, back.reverse) = (ends.1, ends.0, there)
    ends.0.incoming = back
    ends.1.incoming = there
    return ends
  }

  // MARK: From the network

  func received(_ bytes: [UInt8]) {
    if isBroken { return }
    inbox.append(bytes)
    changed()
  }

  func receivedEnd() {
    sawEnd = true
    changed()
  }

  /// The stream is broken. What had arrived can still be read.
  func broke(_ error: Errno) {
    if isBroken { return }
    isBroken = true
    self.error = error
    outgoing.discard()
    changed()
  }

  /// The other end of a unix stream is closed: what it had sent can be read, and nothing sent.
  func peerClosed() {
    sawEnd = true
    isBroken = true
    changed()
  }

  func changed() { socket?.changed() }

  // MARK: From the socket

  var readiness: Interest {
    var ready: Interest = []
    if !inbox.isEmpty || sawEnd || isBroken { ready.insert(.read) }
    if isBroken || hasEnded || outgoing.isWritable { ready.insert(.write) }
    if error != nil || isBroken || sawEnd && hasEnded { ready.formUnion([.read, .write, .hangUp]) }
    return ready
  }

  var hasUnreadBytes: Bool { !inbox.isEmpty }

  func takeError() -> Errno? { error.take() }

  func receive(into buffer: inout MutableSpan<UInt8>) throws(Errno) -> Int {
    if buffer.count == 0 { return 0 }
    if !inbox.isEmpty {
      let count = inbox.read(into: &buffer, limit: world.choices.share(of: min(buffer.count, inbox.count)))
      incoming?.consumed(count)
      return count
    }
    if let error = takeError() { throw error }
    if sawEnd || isBroken { return 0 }
    throw .wouldBlock
  }

  func send(_ bytes: Span<UInt8>) throws(Errno) -> Int {
    if let error = takeError() { throw error }
    if isBroken || hasEnded { throw .brokenPipe }
    if bytes.count == 0 { return 0 }
    let count = outgoing.send(bytes)
    if count == 0 { throw .wouldBlock }
    return count
  }

  func shutdownWrite() throws(Errno) {
    if isBroken { throw .socketNotConnected }
    guard !hasEnded else { return }
    hasEnded = true
    outgoing.put(.end)
    changed()
  }

  /// The socket is closed. Who has not read everything breaks the stream by that, as does who lingers for no time.
  func close(isAbrupt: Bool) {
    socket = nil
    if isBroken { return }
    if isAbrupt || !inbox.isEmpty {
      outgoing.put(.reset)
    } else if outgoing.path == nil {
      outgoing.put(.closed)
    } else if !hasEnded {
      outgoing.put(.end)
    }
  }

  /// The host has crashed.
  func crashed() {
    socket = nil
    incoming?.targetHasCrashed()
  }

  /// Breaks the stream for both ends, as routers and firewalls do that have lost their patience.
  func reset() {
    if isBroken { return }
    // In this order, since what is under way goes with the stream, and the other end has to hear of it.
    broke(.connectionReset)
    outgoing.put(.reset)
  }
}
