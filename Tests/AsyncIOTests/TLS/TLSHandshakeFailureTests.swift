// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Handshakes that come to nothing: hostile peers, time limits, cancellation.
@Suite struct TLSHandshakeFailureTests {
  struct Attack: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let reason: String
  }

  static let attacks = [
    Attack(testDescription: "garbage", bytes: [UInt8](repeating: 0x5a, count: 300), reason: "wrong version number"),
    Attack(testDescription: "plain HTTP", bytes: octets("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), reason: "http request"),
    Attack(
      testDescription: "an alert", bytes: [0x15, 3, 3, 0, 2, 2, 40], reason: "unexpected message"),
    Attack(
      testDescription: "a record too long", bytes: [0x16, 3, 1, 0xff, 0xff, 1, 0, 0, 1], reason: "packet length"),
    Attack(
      testDescription: "data before the handshake", bytes: [0x17, 3, 3, 0, 2, 1, 2], reason: "unexpected"),
    Attack(
      testDescription: "a message too long", bytes: [0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
      reason: "excessive message size"),
  ]

  @Test(
    "Hostile bytes in place of a handshake are reported, answered with an end, and kept by nobody", arguments: attacks)
  func hostileBytes(attack: Attack) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let tls = ProbedTLS(try serverTLS())
      let accepted = Accepted()
      let server = try await loop.createServer(
        {
          let recorder = Recorder()
          accepted.recorders.append(recorder)
          return recorder
        }, host: "127.0.0.1", port: 0, tls: ServerTLS(tls))
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try peer.send(attack.bytes)
      _ = try await peer.receiveToEnd(on: loop)
      try await loop.until { server.connectionCount == 0 }
      #expect(errors.messages == ["the TLS handshake of a connection failed"])
      let error = try #require(errors.contexts.first?.error as? TLSError)
      #expect(error.code == .handshake)
      #expect(error.reason.contains(attack.reason), "\(error)")
      #expect(error.subject?.hasPrefix("127.0.0.1:") == true)
      #expect(accepted.recorders.map(\.calls) == [[]], "the protocol was told of a connection that never was")
      #expect(tls.made == 1 && tls.living == 0)
      peer.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("A peer that leaves during the handshake is no news to a server")
  func silentLeave() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await tlsServer(loop)
      let hello = try clientHello()
      for bytes in [[], Array(hello.prefix(50)), hello] {
        for resets in [false, true] {
          let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
          try await loop.until { server.connectionCount == 1 }
          if !bytes.isEmpty { try peer.send(bytes) }
          if resets { peer.reset() } else { peer.close() }
          try await loop.until { server.connectionCount == 0 }
        }
      }
      #expect(errors.messages == [])
      #expect(accepted.recorders.allSatisfy { $0.calls.isEmpty })
      server.close()
    }
  }

  @Test("A peer that stops anywhere in its first message runs into the time limit")
  func stopsAnywhere() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await tlsServer(loop, handshakeTimeout: .seconds(5))
      let hello = try clientHello()
      var peers: [Peer] = []
      for end in stride(from: 0, to: hello.count, by: 13) {
        let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
        if end > 0 { try peer.send(Array(hello.prefix(end))) }
        peers.append(peer)
      }
      try await loop.until { server.connectionCount == peers.count }
      kernel.advanceClock(by: .seconds(4))
      try await loop.turn()
      #expect(server.connectionCount == peers.count, "too early")
      kernel.advanceClock(by: .seconds(2))
      try await loop.until { server.connectionCount == 0 }
      #expect(errors.contexts.count == peers.count)
      for context in errors.contexts {
        #expect((context.error as? IOError)?.code == .connectionAbort)
        #expect(context.error.map { "\($0)".contains("longer than 5") } == true)
      }
      for peer in peers {
        _ = try await peer.receiveToEnd(on: loop)
        peer.close()
      }
      #expect(accepted.recorders.allSatisfy { $0.calls.isEmpty })
      server.close()
    }
  }

  @Test("Engines take every byte by itself, and forgive a peer that stops after any of them", arguments: [true, false])
  func everyByte(isServerUnderTest: Bool) throws {
    let (server, client) = (try serverTLS(), try clientTLS())
    let role = TLSRole.client(serverName: "localhost")
    // The whole conversation, by messages in both directions.
    let (a, b) = (try HandDrivenTLS(client, role), try HandDrivenTLS(server, .server))
    var stopped = 0
    while !(a.isDone && b.isDone) {
      for (from, to, receiverIsServer) in [(a, b, true), (b, a, false)] {
        if !from.isDone { try from.feed([]) }
        for byte in from.takeOutgoing() {
          // Whoever is fed gets it byte by byte, and is done not before the last.
          try to.feed([byte])
          if receiverIsServer == isServerUnderTest { stopped += 1 }
        }
      }
    }
    #expect(stopped > 100)
    try a.send(octets("over"))
    for byte in a.takeOutgoing() { try b.feed([byte]) }
    #expect(b.received == octets("over"))
    // Stops at every byte of the first message: no error, and nothing but waiting.
    let hello = try clientHello()
    for end in 0..<hello.count {
      let engine = try HandDrivenTLS(server, .server)
      try engine.feed(Array(hello.prefix(end)))
      #expect(!engine.isDone && engine.outgoing.isEmpty)
    }
  }

  @Test("the peer's end during the handshake is a connection reset for the caller", arguments: [false, true])
  func resetForCaller(afterHello: Bool) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      accepted.prepare = { recorder in
        if afterHello {
          recorder.onData = { _ in recorder.transport.close() }
        } else {
          recorder.onMade = { $0.close() }
        }
      }
      let recorder = Recorder()
      let error = try await ioError {
        try await loop.createConnection(
          { recorder }, host: "127.0.0.1", port: server.port, tls: .client(clientTLS()))
      }
      #expect(error.code == .connectionReset)
      #expect(error.operation == "TLS handshake")
      #expect(recorder.calls == [])
      try await loop.turn()
      #expect(recorder.calls == [] && errors.messages == [])
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a handshake over its time limit is a connection-aborted error, and the socket is closed")
  func timeLimit() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      let recorder = Recorder()
      let connecting = loop.createTask {
        let tls = try clientTLS()
        return try await ioError {
          try await loop.createConnection(
            { recorder }, host: "127.0.0.1", port: server.port, tls: .client(tls, handshakeTimeout: .seconds(7)))
        }
      }
      try await loop.until { accepted.recorders.first?.received.isEmpty == false }
      kernel.advanceClock(by: .seconds(8))
      let error = try await connecting.value
      #expect(error.code == .connectionAbort)
      #expect("\(error)".contains("longer than 7"))
      try await loop.until { accepted.recorders[0].isLost }
      #expect(recorder.calls == [] && errors.messages == [])
      server.close()
    }
  }

  @Test("cancelling a handshake aborts the connection and reports nothing")
  func cancellation() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      let recorder = Recorder()
      let tls = ProbedTLS(try clientTLS())
      let connecting = loop.createTask {
        _ = try await loop.createConnection({ recorder }, host: "127.0.0.1", port: server.port, tls: ClientTLS(tls))
      }
      try await loop.until { accepted.recorders.first?.received.isEmpty == false }
      connecting.cancel()
      await #expect(throws: CancellationError.self) { try await connecting.value }
      try await loop.until { accepted.recorders[0].isLost && tls.living == 0 }
      #expect(recorder.calls == [] && errors.messages == [])
      server.close()
    }
  }

  @Test("a cancellation drops the connection also when the handshake is done before the task runs again")
  func cancelledAtTheEnd() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let recorder = Recorder()
      let peer = Peer(far)
      let tls = ProbedTLS(try serverTLS())
      let accepting = loop.createTask {
        _ = try await loop.connectAcceptedSocket({ recorder }, socket: near, tls: ServerTLS(tls))
      }
      recorder.onMade = { _ in accepting.cancel() }
      let hand = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
      try await hand.handshake(peer, on: loop)
      await #expect(throws: CancellationError.self) { try await accepting.value }
      try await loop.until("nobody has the connection, and it stays") { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)] && tls.living == 0)
      peer.close()
    }
  }

  @Test("closing a server's clients during their handshakes reports nothing", arguments: [false, true])
  func closeDuringHandshake(aborts: Bool) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await tlsServer(loop)
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { server.connectionCount == 1 }
      server.close()
      if aborts { server.abortClients() } else { server.closeClients() }
      try await server.waitClosed()
      #expect(try await peer.receiveToEnd(on: loop) == [])
      #expect(errors.messages == [])
      #expect(accepted.recorders.map(\.calls) == [[]])
      peer.close()
    }
  }

  @Test("A loop that closes during handshakes lets go of everything")
  func loopCloses() throws {
    let tls = ProbedTLS(try serverTLS())
    try withLoop { loop, kernel in
      let task = loop.createTask {
        let server = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0, tls: ServerTLS(tls))
        let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
        try peer.send(Array(try clientHello().prefix(20)))
        try await loop.until { server.connectionCount == 1 }
        peer.close()
        loop.stop()
      }
      try loop.runForever()
      withExtendedLifetime(task) {}
    }
    #expect(tls.made == 1 && tls.living == 0)
  }

  @Test(
    "A failing system call during the handshake is the caller's error", arguments: [TestKernel.Call.receive, .send])
  func failingCall(call: TestKernel.Call) throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      kernel.inject(.connectionReset, into: call)
      let error = try await ioError {
        let tls = try clientTLS()
        if call == .receive {
          // The plain server has to say something that can be received.
          server.close()
          let (other, accepted) = try await recordingServer(loop)
          accepted.prepare = { $0.onMade = { $0.write("x") } }
          defer { other.close() }
          _ = try await loop.createConnection(Recorder.init, host: "127.0.0.1", port: other.port, tls: .client(tls))
        }
        _ = try await loop.createConnection(Recorder.init, host: "127.0.0.1", port: server.port, tls: .client(tls))
      }
      #expect(error.code == .connectionReset && error.operation == "TLS handshake")
      server.close()
    }
  }

  @Test(
    "However the peer's end shows, it is a reset during the handshake", arguments: [TestKernel.Call.receive, .send])
  func anyEnd(call: TestKernel.Call) throws {
    try runLoop { loop, kernel in
      for code in [Errno.connectionReset, .brokenPipe] {
        let (near, far) = try await PairKind.tcp.make(loop, kernel)
        let (peer, tls) = (Peer(far), try clientTLS())
        if call == .receive { try peer.send("x") }
        kernel.inject(code, into: call)
        let error = try await ioError {
          try await loop.createConnection(Recorder.init, socket: near, tls: .client(tls, serverHostname: "localhost"))
        }
        #expect(error.code == .connectionReset && error.operation == "TLS handshake")
        peer.close()
      }
    }
  }

  private func clientHello() throws -> [UInt8] {
    let client = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
    try client.feed([])
    return client.takeOutgoing()
  }
}
