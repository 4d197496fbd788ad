// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Connections that are encrypted while they are open, and TLS inside TLS.
@Suite struct StartTLSTests {
  @Test("startTLS encrypts both directions of a live connection, without another connectionMade")
  func transports() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel)
      client.transport.write("plain")
      try await loop.until { server.text == "plain" }
      #expect(client.transport.getExtraInfo(.tls) == nil && client.transport.getExtraInfo(.tlsContext) == nil)
      #expect(client.transport.canWriteEOF)
      try await secure(loop, client, server)
      #expect(client.transport.getExtraInfo(.tls)?.version == "TLSv1.3", "extra info gains it")
      #expect(client.transport.getExtraInfo(.tlsContext) is TLSContext)
      #expect(!client.transport.canWriteEOF)
      client.transport.write(" and not")
      server.transport.write("answer")
      try await loop.until { server.text == "plain and not" && client.text == "answer" }
      client.transport.close()
      try await loop.until { client.isLost && server.isLost }
      #expect(client.calls == [.made, .data, .lost(nil)])
      #expect(server.calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("What was written before goes out as it is, what is written meanwhile is encrypted, each in order")
  func writesAround() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      for socket in [near, far] {
        try socket.setOption(.sendBufferSize, 64 * 1024)
        try socket.setOption(.receiveBufferSize, 64 * 1024)
      }
      let client = Recorder()
      _ = try await loop.createConnection({ client }, socket: near)
      let peer = Peer(far)
      let before = pattern(plenty)
      client.transport.write(before)
      #expect(client.calls == [.made, .pause])
      let securing = loop.createTask {
        _ = try await loop.startTLS(client.transport, client, .client(clientTLS(), serverHostname: "localhost"))
      }
      try await loop.turn()
      #expect(client.transport.writeBufferSize > 64 * 1024, "what is on its way counts")
      client.transport.write("encrypted")
      #expect(try await peer.receive(before.count, on: loop) == before)
      let hand = try HandDrivenTLS(serverTLS(), .server)
      try await hand.handshake(peer, on: loop)
      try await hand.run(peer, on: loop) { hand.received == octets("encrypted") }
      try await securing.value
      #expect(client.calls == [.made, .pause, .resume])
      client.transport.abort()
      try await loop.until { client.isLost }
      peer.close()
    }
  }

  @Test("bytes that the protocol was given already belong to the handshake")
  func receivedBefore() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let server = Recorder()
      var hello: [UInt8] = []
      server.onData = { bytes in
        // One chunk: the request for TLS, and the client's first message behind it.
        hello += bytes
        server.transport.pauseReading()
      }
      _ = try await loop.createConnection({ server }, socket: near)
      let peer = Peer(far)
      let hand = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
      try hand.feed([])
      try peer.send(octets("STARTTLS\n") + hand.takeOutgoing())
      try await loop.until { hello.count > 100 }
      #expect(hello.starts(with: octets("STARTTLS\n")))
      server.onData = nil
      let tls = try serverTLS()
      let rest = Array(hello.dropFirst(9))
      let securing = loop.createTask {
        _ = try await loop.startTLS(server.transport, server, .server(tls), received: rest)
      }
      try await hand.handshake(peer, on: loop)
      try hand.send(octets("welcome"))
      try peer.send(hand.takeOutgoing())
      try await securing.value
      // The pause is still the protocol's.
      try await loop.turn(3)
      #expect(server.received == hello)
      server.transport.resumeReading()
      try await loop.until { server.received == hello + octets("welcome") }
      server.transport.abort()
      try await loop.until { server.isLost }
      peer.close()
    }
  }

  @Test(
    "streams are upgraded on both sides, with the client's first message read already",
    arguments: [false, true])
  func streams(overTLS: Bool) throws {
    try runLoop { loop, kernel in
      let outer: ServerTLS? = overTLS ? .server(try serverTLS()) : nil
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, tls: outer) { reader, writer in
        #expect(try await reader.readLine() == octets("STARTTLS\n"))
        // The client does not wait for the answer: its handshake arrives as if it were data.
        try await loop.until { reader.unreadCount > 100 }
        try await writer.startTLS(.server(serverTLS()))
        #expect(writer.getExtraInfo(.tls) != nil)
        for try await line in reader.lines { try await writer.send("<" + line + ">\n") }
      }
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: server.port, tls: overTLS ? .client(clientTLS()) : nil)
      writer.write("STARTTLS\n")
      try await writer.startTLS(.client(clientTLS(), serverHostname: "localhost"))
      #expect(writer.getExtraInfo(.tls)?.peerCertificate?.subject == "O=Server,CN=localhost")
      try await writer.send("hello\n")
      #expect(try await reader.readLine() == octets("<hello>\n"))
      writer.close()
      try await writer.waitClosed()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("TLS inside TLS inside TLS, with megabytes each way, and a close through all of it")
  func nested() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel)
      let sent = pattern(1_000_000)
      for depth in 1...3 {
        try await secure(loop, client, server)
        client.transport.write(sent)
        server.transport.write(sent)
        try await loop.until {
          client.received.count == depth * sent.count && server.received.count == depth * sent.count
        }
      }
      #expect(client.received.suffix(sent.count) == sent[...] && server.received.suffix(sent.count) == sent[...])
      client.transport.close()
      try await loop.until { client.isLost && server.isLost }
      #expect(client.calls.last == .lost(nil))
      #expect(server.calls.suffix(2) == [.eof, .lost(nil)])
    }
  }

  @Test(
    "What was written before the second startTLS goes out by the outer connection alone; a new protocol is called")
  func writesAroundNested() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel, smallBuffers: true)
      try await secure(loop, client, server)
      let before = pattern(plenty)
      // The server's end of the inner connection begins where the outer one's data ends.
      server.onData = { _ in
        if server.received.count >= before.count { server.transport.pauseReading() }
      }
      client.transport.write(before)
      #expect(client.calls == [.made, .pause])
      let securing = loop.createTask {
        _ = try await loop.startTLS(client.transport, client, .client(clientTLS(), serverHostname: "localhost"))
      }
      try await loop.turn()
      client.transport.write("inside")
      try await loop.until { !server.transport.isReading }
      #expect(server.received.starts(with: before))
      let inner = Recorder()
      let serverSide = try serverTLS()
      try await loop.startTLS(
        server.transport, inner, .server(serverSide), received: Array(server.received.dropFirst(before.count)))
      #expect(server.transport.getProtocol() === inner)
      server.transport.resumeReading()
      try await securing.value
      try await loop.until { inner.text == "inside" }
      client.transport.close()
      try await loop.until { client.isLost && inner.isLost }
      #expect(inner.calls == [.data, .eof, .lost(nil)] && server.calls == [.made, .data])
      inner.forgetHooks()
      server.forgetHooks()
    }
  }

  @Test("What is written during a handshake waits without keeping the loop busy, and goes out when that is done")
  func waitsIdly() throws {
    try runLoop { loop, kernel in
      let (client, peer) = try await PairKind.tcp.transport(loop, kernel)
      let securing = loop.createTask {
        _ = try await loop.startTLS(client.transport, client, .client(clientTLS(), serverHostname: "localhost"))
      }
      let hand = try HandDrivenTLS(serverTLS(), .server)
      try await loop.until {
        try peer.receiveNow().map { try hand.feed($0) }
        return !hand.outgoing.isEmpty
      }
      client.transport.write("later")
      try await loop.expectIdle(kernel)
      try await hand.run(peer, on: loop) { hand.received == octets("later") }
      try await securing.value
      client.transport.abort()
      try await loop.until { client.isLost }
    }
  }

  @Test("An inner connection that the outer one cuts short is truncated")
  func innerTruncation() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel)
      try await secure(loop, client, server)
      let outer = try #require(server.transport.tls).engine
      try await secure(loop, client, server)
      // The end of the outer stream, properly announced, in place of the inner one's.
      let wire = SocketWire(LinuxKernel.shared, server.transport.socket.descriptor)
      outer.close(over: wire)
      #expect(wire.sentCount > 0 && wire.pending.isEmpty)
      try await loop.until { client.isLost }
      #expect(client.tlsLoss?.code == .truncated)
      server.transport.abort()
      try await loop.until { server.isLost }
    }
  }

  @Test("A handshake that fails on a live connection is thrown, and told by connectionLost")
  func failure() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (client, server) = try await plainPair(loop, kernel)
      let tls = try serverTLS("foreign")
      let serving = loop.createTask {
        await thrown { try await loop.startTLS(server.transport, server, .server(tls)) } as? TLSError
      }
      let error = try await tlsError {
        try await loop.startTLS(client.transport, client, .client(clientTLS(), serverHostname: "localhost"))
      }
      #expect(error.code == .certificate)
      #expect(try await serving.value?.code == .handshake)
      try await loop.until { client.isLost && server.isLost }
      #expect(client.tlsLoss == error && client.lossCount == 1)
      #expect(server.tlsLoss?.code == .handshake)
      #expect(errors.messages == [])
    }
  }

  @Test("Cancelling startTLS drops the connection")
  func cancellation() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel)
      let securing = loop.createTask {
        _ = try await loop.startTLS(client.transport, client, .client(clientTLS(), serverHostname: "localhost"))
      }
      try await loop.until { !server.received.isEmpty }
      securing.cancel()
      await #expect(throws: CancellationError.self) { try await securing.value }
      try await loop.until { client.isLost && server.isLost }
      #expect(client.calls == [.made, .lost(nil)])
    }
  }

  @Test("a connection that sends a file cannot be encrypted meanwhile")
  func fileOnItsWay() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let folder = try TemporaryFolder()
      let content = pattern(plenty)
      let file = try folder.file(content)
      defer { try? file.close() }
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      try await loop.until { kernel.count(of: .sendFile) > 0 }
      let refused = await thrown {
        try await loop.startTLS(recorder.transport, recorder, .client(clientTLS(), serverHostname: "localhost"))
      }
      #expect((refused as? EventLoopError)?.code == .transportState)
      #expect(try await peer.receive(plenty, on: loop) == content)
      #expect(try await sending.value == plenty)
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("A connection that has ended one direction cannot be encrypted any more", arguments: [false, true])
  func halfClosed(byPeer: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.onEOF = { true }
      if byPeer {
        try peer.shutDownWriting()
        try await loop.until { recorder.calls == [.made, .eof] }
      } else {
        recorder.transport.writeEOF()
      }
      let refused = await thrown {
        try await loop.startTLS(recorder.transport, recorder, .client(clientTLS(), serverHostname: "localhost"))
      }
      #expect((refused as? EventLoopError)?.code == .transportState)
      #expect(recorder.transport.getExtraInfo(.tlsContext) == nil && !recorder.isLost)
      if byPeer {
        recorder.transport.write("still here")
        #expect(try await peer.receive(10, on: loop) == octets("still here"))
      } else {
        try peer.send("still here")
        try await loop.until { recorder.text == "still here" }
      }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("what startTLS refuses, it leaves as it is")
  func refusals() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel)
      let (tls, serverSide) = (try clientTLS(), try serverTLS())
      func code(_ call: () async throws -> Void) async -> EventLoopError.Code? {
        (await thrown(call) as? EventLoopError)?.code
      }
      let transport = client.transport
      #expect(await code { _ = try await loop.startTLS(transport, client, .client(tls)) } == .invalidArgument)
      #expect(
        await code {
          _ = try await loop.startTLS(transport, client, .server(serverSide, shutdownTimeout: .zero))
        } == .invalidArgument)
      #expect(
        await code {
          _ = try await loop.startTLS(
            transport, client, .client(tls, serverHostname: "localhost", handshakeTimeout: .zero))
        } == .invalidArgument)
      let wrongSide = try await tlsError { try await loop.startTLS(transport, client, .server(tls)) }
      #expect(wrongSide.code == .configuration)
      #expect(
        await code {
          _ = try await loop.startTLS(transport, client, .client(tls, serverHostname: ""))
        } == .invalidArgument)
      transport.write("still plain")
      try await loop.until { server.text == "still plain" }
      let securing = loop.createTask {
        _ = try await loop.startTLS(transport, client, .client(tls, serverHostname: "localhost"))
      }
      try await loop.until { server.received.count > 100 }
      #expect(
        await code { _ = try await loop.startTLS(transport, client, .client(tls, serverHostname: "localhost")) }
          == .transportState)
      let folder = try TemporaryFolder()
      let file = try folder.file([1])
      #expect(await code { try await loop.sendFile(transport, file) } == .transportState)
      try file.close()
      transport.close()
      #expect(
        await code { _ = try await loop.startTLS(transport, client, .client(tls, serverHostname: "localhost")) }
          == .transportState)
      let aborted = await thrown { try await securing.value }
      #expect((aborted as? IOError)?.code == .connectionAbort)
      try await loop.until { client.isLost && server.isLost }
      #expect(client.calls == [.made, .lost(nil)])
    }
  }
}
