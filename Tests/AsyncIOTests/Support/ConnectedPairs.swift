// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// How two connected stream sockets come about. The transport contract holds for each of them.
enum PairKind: CaseIterable, Sendable, CustomTestStringConvertible {
  case tcp, tcpOverIPv6, socketPair

  var testDescription: String {
    switch self {
    case .tcp: "TCP over 127.0.0.1"
    case .tcpOverIPv6: "TCP over ::1"
    case .socketPair: "socket pair"
    }
  }

  /// Whether the peers have addresses that they can be asked for.
  var hasAddresses: Bool { self != .socketPair }

  /// Two connected sockets, accounted for by the kernel.
  func make(_ loop: EventLoop, _ kernel: TestKernel) async throws -> (Socket, Socket) {
    switch self {
    case .tcp: return try await connectedSockets(loop, kernel, "127.0.0.1")
    case .tcpOverIPv6: return try await connectedSockets(loop, kernel, "::1")
    case .socketPair:
      let (first, second) = try kernel.makeSocketPair(.stream)
      return (Socket(adopting: first, kernel: kernel), Socket(adopting: second, kernel: kernel))
    }
  }

  /// A transport with a recorder on one socket, and the other one as it is, to drive the first by hand.
  ///
  /// With small buffers, ``plenty`` bytes do not fit the kernel's.
  func transport(
    _ loop: EventLoop, _ kernel: TestKernel, _ recorder: Recorder = Recorder(), smallBuffers: Bool = false
  ) async throws -> (Recorder, Peer) {
    let (near, far) = try await make(loop, kernel)
    if smallBuffers {
      for socket in [near, far] {
        try socket.setOption(.sendBufferSize, 64 * 1024)
        try socket.setOption(.receiveBufferSize, 64 * 1024)
      }
    }
    let peer = Peer(far)
    recorder.peer = peer
    _ = try await loop.createConnection({ recorder }, socket: near)
    return (recorder, peer)
  }
}

private func connectedSockets(_ loop: EventLoop, _ kernel: TestKernel, _ host: String) async throws -> (Socket, Socket)
{
  let address = try #require(SocketAddress(ip: host, port: 0))
  let listener = try Socket(address.family, .stream, transportProtocol: 0, kernel: kernel)
  defer { listener.close() }
  try listener.bind(to: address)
  try listener.listen(backlog: 1)
  let client = try Socket(address.family, .stream, transportProtocol: 0, kernel: kernel)
  let target = try #require(listener.localAddress)
  do throws(IOError) { try client.connect(to: target) } catch {
    guard error.code == .nowInProgress else { throw error }
  }
  var accepted: FileDescriptor?
  try await loop.until("the connection arrives") {
    accepted = try? kernel.real.accept(listener.descriptor).0
    return accepted != nil
  }
  let server = kernel.adopt(try #require(accepted))
  try await loop.until("the connection is made") { client.remoteAddress != nil }
  return (client, server)
}

/// The far end of a connection, driven by hand. Its calls pass by what the test injects.
final class Peer {
  let socket: Socket
  private let real: any Kernel = LinuxKernel.shared

  init(_ socket: Socket) { self.socket = socket }

  /// Connects to an address, past what the test injects.
  static func connect(
    to address: SocketAddress, _ loop: EventLoop, _ kernel: TestKernel
  ) async throws -> Peer {
    let socket = kernel.adopt(try kernel.real.makeSocket(address.family, .stream, 0))
    do { try kernel.real.connect(socket.descriptor, to: address) } catch {
      guard error == .nowInProgress else { throw error }
    }
    try await loop.until("the connection to \(address) is made") {
      let code = try kernel.real.option(socket.descriptor, .pendingError)
      if code != 0 { throw IOError(Errno(rawValue: code), "connect", address.description) }
      return (try? kernel.real.remoteAddress(socket.descriptor)) != nil
    }
    return Peer(socket)
  }

  func close() { socket.close() }

  /// Closes it so that the other end sees a reset instead of an end.
  func reset() {
    #expect(lingerZero(socket.descriptor.rawValue) == 0)
    socket.close()
  }

  func shutDownWriting() throws { try real.shutdownWrite(socket.descriptor) }

  /// Sends bytes for which there is room.
  func send(_ bytes: [UInt8]) throws {
    #expect(try real.send(socket.descriptor, bytes.span) == bytes.count)
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Sends all bytes, waiting for room as long as it takes.
  func sendAll(_ bytes: [UInt8], on loop: EventLoop) async throws {
    var sent = 0
    try await loop.until("the peer takes all bytes") {
      while sent < bytes.count {
        guard let count = try sendNow(bytes.span.extracting(sent...)) else { return false }
        sent += count
      }
      return true
    }
  }

  /// How many bytes there was room for; nil when there is none.
  private func sendNow(_ bytes: Span<UInt8>) throws -> Int? {
    do {
      return try real.send(socket.descriptor, bytes)
    } catch {
      guard error == .wouldBlock else { throw error }
      return nil
    }
  }

  /// What has arrived by now; nil when there is nothing yet, empty at the end.
  func receiveNow(maxBytes: Int = 1 << 20) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: maxBytes)
    var span = bytes.mutableSpan
    do {
      let count = try real.receive(socket.descriptor, into: &span)
      return Array(bytes[..<count])
    } catch {
      guard error == .wouldBlock else { throw error }
      return nil
    }
  }

  /// Reads so many bytes.
  func receive(_ count: Int, on loop: EventLoop) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    try await loop.until("\(count) bytes arrive") {
      while bytes.count < count, let part = try receiveNow(maxBytes: count - bytes.count) {
        if part.isEmpty { throw UnexpectedEnd() }
        bytes += part
      }
      return bytes.count == count
    }
    return bytes
  }

  /// Reads to the end of the stream.
  func receiveToEnd(on loop: EventLoop) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    try await loop.until("the stream ends") {
      while let part = try receiveNow() {
        if part.isEmpty { return true }
        bytes += part
      }
      return false
    }
    return bytes
  }
}

struct UnexpectedEnd: Error {}

/// More bytes than the kernel takes on both ends of a pair with small buffers.
let plenty = 1_500_000

/// Bytes that tell their place, so that a mix-up shows.
func pattern(_ count: Int) -> [UInt8] {
  // A prime number of bytes, so that no power of two is a multiple of the period.
  let block = (0..<min(count, 16_381)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count)
  while bytes.count + block.count <= count, !block.isEmpty { bytes += block }
  return bytes + block.prefix(count - bytes.count)
}

/// What the call threw.
func thrown<R>(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async -> (any Error)? {
  do {
    _ = try await body()
    Issue.record("the call was expected to throw", sourceLocation: sourceLocation)
    return nil
  } catch {
    return error
  }
}

/// The error of a system call that the call threw.
func ioError<R>(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async throws -> IOError {
  let error = await thrown(sourceLocation: sourceLocation, body)
  return try #require(error as? IOError, "not an IOError: \(String(describing: error))", sourceLocation: sourceLocation)
}

extension Kernel {
  fileprivate func option<Value>(_ descriptor: FileDescriptor, _ option: SocketOption<Value>) throws -> Int32 {
    try self.option(descriptor, level: option.level, name: option.name)
  }
}
