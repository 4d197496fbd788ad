// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// A server's context with one of the test's certificates.
func serverTLS(
  _ name: String = "server", _ configure: (inout TLSContext.Configuration) -> Void = { _ in }
) throws -> TLSContext {
  try TLSContext.server(TestCertificates.identity(name), configure)
}

/// A client's context that trusts the test's authority.
func clientTLS(_ configure: (inout TLSContext.Configuration) -> Void = { _ in }) throws -> TLSContext {
  let root = TLSSource.file(try TestCertificates.path("ca.pem"))
  return try TLSContext.client { configuration in
    configuration.trust = .roots([root])
    configure(&configuration)
  }
}

/// A server over TLS whose connections write down what they are told.
func tlsServer(
  _ loop: EventLoop, _ tls: TLSContext? = nil, handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
  shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout,
  _ prepare: ((Recorder) throws -> Void)? = nil
) async throws -> (Server, Accepted) {
  let accepted = Accepted()
  accepted.prepare = prepare
  let server = try await loop.createServer(
    {
      let recorder = Recorder()
      accepted.recorders.append(recorder)
      try accepted.prepare?(recorder)
      return recorder
    }, host: "127.0.0.1", port: 0,
    tls: .server(tls ?? serverTLS(), handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout))
  return (server, accepted)
}

/// Both ends of one connection over TLS.
struct TLSPair {
  let client: Recorder
  let server: Recorder
  /// It is closed already.
  let listener: Server

  init(
    _ loop: EventLoop, server: TLSContext? = nil, client: TLSContext? = nil, serverHostname: String? = "localhost",
    handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout,
    clientRecorder: Recorder = Recorder(), _ prepareServer: ((Recorder) throws -> Void)? = nil
  ) async throws {
    let (listener, accepted) = try await tlsServer(loop, server, shutdownTimeout: shutdownTimeout, prepareServer)
    self.listener = listener
    defer { listener.close() }
    self.client = try await loop.createConnection(
      { clientRecorder }, host: "127.0.0.1", port: listener.port,
      tls: .client(
        client ?? clientTLS(), serverHostname: serverHostname, handshakeTimeout: handshakeTimeout,
        shutdownTimeout: shutdownTimeout)
    ).protocol
    try await loop.until("the server's handshake is done") { accepted.recorders.first?.calls.contains(.made) == true }
    self.server = try #require(accepted.recorders.first)
  }

  /// Closes both ends, and waits for it.
  func close(_ loop: EventLoop) async throws {
    client.transport.close()
    try await loop.until("both ends are closed") { client.isLost && server.isLost }
  }
}

/// Two transports, plain so far.
func plainPair(
  _ loop: EventLoop, _ kernel: TestKernel, smallBuffers: Bool = false
) async throws -> (Recorder, Recorder) {
  let (near, far) = try await PairKind.tcp.make(loop, kernel)
  if smallBuffers {
    for socket in [near, far] {
      try socket.setOption(.sendBufferSize, 64 * 1024)
      try socket.setOption(.receiveBufferSize, 64 * 1024)
    }
  }
  let (a, b) = (Recorder(), Recorder())
  _ = try await loop.createConnection({ a }, socket: near)
  _ = try await loop.createConnection({ b }, socket: far)
  return (a, b)
}

/// Begins TLS on both ends of an open connection, or one more of it inside of what is there.
func secure(
  _ loop: EventLoop, _ client: Recorder, _ server: Recorder,
  shutdownTimeout: Duration = ClientTLS.defaultShutdownTimeout
) async throws {
  let tls = try serverTLS()
  let serving = loop.createTask {
    _ = try await loop.startTLS(server.transport, server, .server(tls))
  }
  let transport = try await loop.startTLS(
    client.transport, client, .client(clientTLS(), serverHostname: "localhost", shutdownTimeout: shutdownTimeout))
  #expect(transport === client.transport)
  try await serving.value
}

extension Recorder {
  var tlsLoss: TLSError? { (loss ?? nil) as? TLSError }
}

/// The error of TLS that the call threw.
func tlsError<R>(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async throws -> TLSError {
  let error = await thrown(sourceLocation: sourceLocation, body)
  return try #require(
    error as? TLSError, "not a TLSError: \(String(describing: error))", sourceLocation: sourceLocation)
}

/// One end of a connection whose bytes the test carries by hand: real TLS in the place of a socket's far end.
final class HandDrivenTLS: TLSWire {
  let engine: any TLSEngine
  /// What has to go to the other end.
  var outgoing: [UInt8] = []
  /// What came from the other end, and was not read yet.
  private var incoming: [UInt8] = []
  var received: [UInt8] = []
  var isDone = false
  var hasEnded = false

  init(_ tls: TLSContext, _ role: TLSRole) throws { engine = try tls.makeEngine(for: role) }
  init(_ engine: any TLSEngine) { self.engine = engine }

  /// Takes what came from the other end.
  func feed(_ bytes: [UInt8]) throws {
    incoming += bytes
    if !isDone {
      isDone = try engine.handshake(over: self)
      if !isDone { return }
    }
    var target = [UInt8](repeating: 0, count: 20_000)
    while !hasEnded {
      var span = target.mutableSpan
      let step = try engine.decrypt(from: self, into: &span)
      received += target[..<step.count]
      hasEnded = step.next == .end
      if step.next == .receive { return }
    }
  }

  func send(_ bytes: [UInt8]) throws { try engine.encrypt(bytes.span, to: self) }

  func close() { engine.close(over: self) }

  func read(into buffer: inout MutableSpan<UInt8>) -> Int { incoming.moveFront(into: &buffer) }

  func write(_ bytes: Span<UInt8>) { outgoing.append(copying: bytes) }

  func takeOutgoing() -> [UInt8] {
    defer { outgoing = [] }
    return outgoing
  }

  /// Carries bytes between here and a socket until the condition holds.
  func run(
    _ peer: Peer, on loop: EventLoop, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    until condition: () throws -> Bool
  ) async throws {
    try await loop.until(comment, sourceLocation: sourceLocation) {
      try carry(peer)
      return try condition()
    }
  }

  private func carry(_ peer: Peer) throws {
    if !outgoing.isEmpty { try peer.send(takeOutgoing()) }
    if let bytes = try peer.receiveNow(), !bytes.isEmpty { try feed(bytes) }
    if !outgoing.isEmpty { try peer.send(takeOutgoing()) }
  }

  /// Begins, and goes on until the handshake is done on this side.
  func handshake(_ peer: Peer, on loop: EventLoop) async throws {
    if !isDone { try feed([]) }
    try await run(peer, on: loop, "the handshake is done") { isDone }
  }
}

/// The records in encrypted bytes: their types and the lengths of their contents.
func records(in bytes: [UInt8]) -> [(type: UInt8, length: Int)] {
  var found: [(UInt8, Int)] = []
  var start = 0
  while start + 5 <= bytes.count {
    let length = Int(bytes[start + 3]) << 8 | Int(bytes[start + 4])
    found.append((bytes[start], length))
    start += 5 + length
  }
  return found
}
