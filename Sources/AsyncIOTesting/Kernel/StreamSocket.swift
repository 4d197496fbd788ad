// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import DequeModule
import SystemPackage

/// The connections that wait at a listening socket to be accepted.
final class AcceptQueue {
  private weak var socket: StreamSocket?
  private var waiting = Deque<StreamEnd>()
  /// How many are being made.
  private var reserved = 0
  private let limit: Int

  init(_ socket: StreamSocket, limit: Int) {
    self.socket = socket
    self.limit = limit
  }

  var isEmpty: Bool { waiting.isEmpty }

  /// Keeps a place for one that is being made; false when there is none.
  func reserve() -> Bool {
    // One more than asked for, as Linux has it.
    guard socket != nil, waiting.count + reserved <= limit else { return false }
    reserved += 1
    return true
  }

  func giveUp() { reserved -= 1 }

  /// False when the socket was closed meanwhile.
  func add(_ end: StreamEnd) -> Bool {
    reserved -= 1
    guard let socket else { return false }
    waiting.append(end)
    socket.changed()
    return true
  }

  func take() -> StreamEnd? { waiting.popFirst() }

  /// The host has crashed, and those that wait are gone.
  func crashed() {
    socket = nil
    for end in waiting { end.crashed() }
    waiting.removeAll()
  }

  /// The socket is closed, and those that wait are told.
  func close() {
    socket = nil
    let left = waiting
    waiting.removeAll()
    for end in left { end.close(isAbrupt: true) }
  }
}

/// A socket of a stream: listening, connected, or neither.
final class StreamSocket: SimulatedSocket {
  enum Phase {
    case fresh
    case listening(AcceptQueue)
    case connecting(ConnectAttempt)
    case connected(StreamEnd)
    /// An attempt to connect has failed.
    case failed
  }

  private(set) var phase = Phase.fresh
  private var error: Errno?

  /// A socket of an end that exists already.
  func adopt(_ end: StreamEnd) {
    phase = .connected(end)
    end.socket = self
    if localAddress == nil { localAddress = end.localAddress }
    changed()
  }

  override var isListening: Bool { if case .listening = phase { true } else { false } }

  var end: StreamEnd? { if case .connected(let end) = phase { end } else { nil } }

  override var peerAddress: SocketAddress? { end?.remoteAddress }

  override var label: String {
    let own = localAddress.map { " \($0)" } ?? ""
    return switch phase {
    case .fresh, .failed: "a socket\(own)"
    case .listening: "a listening socket\(own)"
    case .connecting(let attempt): "a socket that connects to \(attempt.address)"
    case .connected(let end): "a connection with \(end.remoteAddress)"
    }
  }

  override var readiness: Interest {
    switch phase {
    case .fresh, .failed: [.read, .write, .hangUp]
    case .listening(let queue): queue.isEmpty ? [] : .read
    case .connecting: []
    case .connected(let end): end.readiness
    }
  }

  override func takeError() -> Errno? { error.take() ?? end?.takeError() }

  /// How much the kernels at both ends hold of a direction.
  var bufferSize: Int {
    options[OptionName(.sendBufferSize)].map { max(1, Int($0)) } ?? kernel.host.socketBufferSize
  }

  func listen(backlog: Int32) throws(Errno) {
    switch phase {
    case .listening: return
    case .fresh: break
    default: throw .invalidArgument
    }
    if localAddress == nil {
      guard family != .unix, let any = SocketAddress(ip: family == .ipv4 ? "0.0.0.0" : "::", port: 0) else {
        throw .addressRequired
      }
      try bind(to: any)
    }
    phase = .listening(AcceptQueue(self, limit: max(0, Int(backlog))))
  }

  func connect(to address: SocketAddress) throws(Errno) {
    switch phase {
    case .fresh: break
    case .connecting: throw .alreadyInProcess
    case .connected: throw .socketIsConnected
    case .failed, .listening: throw .invalidArgument
    }
    guard address.family == family else { throw .addressFamilyNotSupported }
    if family == .unix { return try connectUnix(address) }
    guard let network = kernel.host.network else { throw .networkUnreachable }
    let path = try network.path(from: kernel.host, to: address)
    try bindImplicitly(toReach: address)
    let attempt = ConnectAttempt(self, address, path)
    phase = .connecting(attempt)
    attempt.begin()
    throw .nowInProgress
  }

  private func connectUnix(_ address: SocketAddress) throws(Errno) {
    guard let name = address.unixName, let entry = kernel.socketFiles[name] else {
      throw address.unixName?.first == 0 ? .connectionRefused : .noSuchFileOrDirectory
    }
    guard let listener = entry.socket as? StreamSocket else {
      throw entry.socket == nil ? .connectionRefused : .protocolWrongTypeForSocket
    }
    guard case .listening(let queue) = listener.phase else { throw .connectionRefused }
    guard queue.reserve() else { throw .wouldBlock }
    let (mine, theirs) = StreamEnd.pair(
      kernel.world, nil, localAddress ?? .unnamed, address, capacities: (bufferSize, listener.bufferSize))
    adopt(mine)
    _ = queue.add(theirs)
  }

  /// The host has crashed: nothing is closed, and nobody told.
  func crashed() {
    switch phase {
    case .listening(let queue): queue.crashed()
    case .connecting(let attempt): attempt.cancel()
    case .connected(let end): end.crashed()
    case .fresh, .failed: break
    }
  }

  func connectSucceeded(_ end: StreamEnd) { adopt(end) }

  func connectFailed(_ error: Errno) {
    phase = .failed
    self.error = error
    changed()
  }

  func accept() throws(Errno) -> StreamEnd {
    guard case .listening(let queue) = phase else { throw .invalidArgument }
    guard let end = queue.take() else { throw .wouldBlock }
    return end
  }

  override func wasClosed() {
    super.wasClosed()
    switch phase {
    case .fresh, .failed: break
    case .listening(let queue): queue.close()
    case .connecting(let attempt): attempt.cancel()
    case .connected(let end): end.close(isAbrupt: linger == 0)
    }
    phase = .failed
  }
}
