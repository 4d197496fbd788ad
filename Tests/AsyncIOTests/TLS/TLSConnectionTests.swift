// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Connections over TLS: how they come about, and what is known of them.
@Suite struct TLSConnectionTests {
  @Test("over TLS too: connectionMade, then reading, then the caller goes on; all of it after the handshake")
  func order() throws {
    try runLoop { loop, _ in
      var order: [String] = []
      let (server, accepted) = try await tlsServer(loop) { recorder in
        recorder.onMade = { transport in
          order.append("server made")
          #expect(transport.getExtraInfo(.tls) != nil, "the handshake is not done")
          transport.write("welcome")
        }
      }
      defer { server.close() }
      let recorder = Recorder()
      recorder.onMade = { transport in
        order.append("client made")
        #expect(transport.getExtraInfo(.tls)?.version == "TLSv1.3")
        #expect(!order.contains("data"))
      }
      recorder.onData = { _ in order.append("data") }
      let (transport, _) = try await loop.createConnection(
        { recorder }, host: "localhost", port: server.port, family: .ipv4, tls: .client(clientTLS()))
      order.append("caller")
      #expect(order.first { $0 == "client made" || $0 == "caller" || $0 == "data" } == "client made")
      #expect(transport.isReading)
      try await loop.until { recorder.text == "welcome" }
      transport.write("thanks")
      try await loop.until { accepted.texts == ["thanks"] }
      #expect(accepted.recorders[0].calls == [.made, .data])
      transport.close()
      try await loop.until { recorder.isLost && accepted.recorders[0].isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)])
      #expect(accepted.recorders[0].calls == [.made, .data, .eof, .lost(nil)])
      #expect(server.connectionCount == 0)
    }
  }

  @Test("the name to check is the host's, unless another is given")
  func serverHostname() throws {
    try runLoop { loop, _ in
      let (server, accepted) = try await tlsServer(loop, try serverTLS("elsewhere"))
      defer { server.close() }
      let tls = try clientTLS()
      let host = try await tlsError {
        try await loop.createConnection(Recorder.init, host: "localhost", port: server.port, tls: .client(tls))
      }
      #expect(host.code == .certificate)
      for name in ["elsewhere.test", "192.0.2.1", "elsewhere.test."] {
        let (transport, _) = try await loop.createConnection(
          Recorder.init, host: "localhost", port: server.port, tls: .client(tls, serverHostname: name))
        let wanted = name.hasPrefix("elsewhere") ? "elsewhere.test" : nil
        #expect(transport.getExtraInfo(.tls)?.serverName == wanted, "\(name)")
        transport.abort()
      }
      try await loop.until { server.connectionCount == 0 }
      #expect(accepted.recorders.count == 4)
    }
  }

  @Test("TLS on a socket, without a host, needs a name")
  func nameWithoutHost() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let error = await thrown {
        try await loop.createConnection(Recorder.init, socket: near, tls: .client(clientTLS()))
      }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      #expect(error.map { "\($0)".contains("serverHostname") } == true)
      // It is still the caller's.
      near.close()
      far.close()
      let path = await thrown {
        try await loop.createUnixConnection(Recorder.init, path: "/x", tls: .client(clientTLS()))
      }
      #expect((path as? EventLoopError)?.code == .invalidArgument)
    }
  }

  @Test("an accepted socket is wrapped over TLS with the same order of calls")
  func acceptedSocket() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let server = Recorder()
      let client = Recorder()
      let accepting = loop.createTask {
        _ = try await loop.connectAcceptedSocket({ server }, socket: near, tls: .server(serverTLS()))
        #expect(server.calls.first == .made)
      }
      _ = try await loop.createConnection(
        { client }, socket: far, tls: .client(clientTLS(), serverHostname: "localhost"))
      try await accepting.value
      client.transport.write("over TLS")
      try await loop.until { server.text == "over TLS" }
      server.transport.close()
      try await loop.until { server.isLost && client.isLost }
      #expect(server.calls == [.made, .data, .lost(nil)])
      #expect(client.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("Extra info tells what was agreed on", arguments: [TLSContext.Configuration.Version.tls12, .tls13])
  func info(version: TLSContext.Configuration.Version) throws {
    try runLoop { loop, _ in
      let context = try serverTLS { $0.alpnProtocols = ["h2", "http/1.1"] }
      let tls = try clientTLS {
        $0.maximumVersion = version
        $0.alpnProtocols = ["spdy/9", "http/1.1", "h2"]
      }
      let pair = try await TLSPair(loop, server: context, client: tls)
      let client = try #require(pair.client.transport.getExtraInfo(.tls))
      let server = try #require(pair.server.transport.getExtraInfo(.tls))
      #expect(client.version == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
      #expect(client.cipher == server.cipher && client.cipher.contains("AES"))
      #expect(client.cipherBits == 256 || client.cipherBits == 128)
      // The server's preference counts.
      #expect(client.alpnProtocol == "h2" && server.alpnProtocol == "h2")
      #expect(client.serverName == "localhost" && server.serverName == "localhost")
      #expect(!client.isResumed && !server.isResumed)
      let certificate = try #require(client.peerCertificate)
      #expect(certificate.subject == "O=Server,CN=localhost")
      #expect(certificate.issuer == "CN=Test root")
      #expect(certificate.names == ["localhost", "*.example.test", "127.0.0.1", "0:0:0:0:0:0:0:1"])
      #expect(certificate.notAfter - certificate.notBefore == 30 * 86_400)
      #expect(certificate.der == (try TestCertificates.bytes("server.der")))
      #expect(certificate.fingerprint.count == 32 && !certificate.serialNumber.isEmpty)
      #expect(server.peerCertificates.isEmpty && server.peerCertificate == nil)
      #expect(pair.client.transport.getExtraInfo(.tlsContext) as? TLSContext === tls)
      #expect(pair.server.transport.getExtraInfo(.tlsContext) as? TLSContext === context)
      try await pair.close(loop)
      #expect(pair.client.transport.getExtraInfo(.tls) == nil, "the engine is kept after the end")
    }
  }

  @Test("operations on sockets refuse the one of a TLS connection")
  func socketOperations() throws {
    try runLoop { loop, _ in
      let pair = try await TLSPair(loop)
      let socket = try #require(pair.client.transport.getExtraInfo(.socket))
      for call in [
        { _ = try await loop.sockRecv(socket, 1) }, { try await loop.sockSendAll(socket, [1]) },
        {
          var buffer = [UInt8](repeating: 0, count: 1); _ = try await loop.sockRecvInto(socket, &buffer)
        },
      ] as [() async throws -> Void] {
        let error = await thrown(call)
        #expect((error as? EventLoopError)?.code == .descriptorInUse)
      }
      try await pair.close(loop)
    }
  }

  @Test("Streams over TLS: lines there and back, and over a unix socket too")
  func streams() throws {
    try runLoop { loop, _ in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "s")
      let handler: EventLoop.StreamHandler = { reader, writer in
        for try await line in reader.lines { try await writer.send(line.uppercased() + "\n") }
      }
      let tls = try clientTLS()
      let tcp = try await loop.startServer(host: "127.0.0.1", port: 0, tls: .server(serverTLS()), handler)
      let unix = try await loop.startUnixServer(path: path, tls: .server(serverTLS()), handler)
      for (reader, writer) in [
        try await loop.openConnection(host: "localhost", port: tcp.port, family: .ipv4, tls: .client(tls)),
        try await loop.openUnixConnection(path: path, tls: .client(tls, serverHostname: "localhost")),
      ] {
        for word in ["one", "two"] {
          try await writer.send(word + "\n")
          #expect(try await reader.readLine() == octets(word.uppercased() + "\n"))
        }
        #expect(!writer.canWriteEOF)
        writer.close()
        try await writer.waitClosed()
        #expect(reader.atEOF)
      }
      tcp.close()
      unix.close()
      try await tcp.waitClosed()
      try await unix.waitClosed()
    }
  }

  @Test("at the end of the stream a TLS connection is closed, whatever eofReceived answers")
  func noHalfClose() throws {
    try runLoop { loop, _ in
      let pair = try await TLSPair(loop) { $0.onEOF = { true } }
      pair.client.transport.close()
      try await loop.until { pair.server.isLost && pair.client.isLost }
      #expect(pair.server.calls == [.made, .eof, .lost(nil)])
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, tls: .server(serverTLS())) { reader, writer in
        #expect(try await reader.read() == octets("question"))
        try await loop.until("the end closes the connection") { writer.isClosing }
      }
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: server.port, tls: .client(clientTLS()))
      writer.write("question")
      writer.close()
      #expect(try await reader.read() == [])
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("writeEOF over TLS is a programmer error")
  func writeEOF() async {
    await #expect(processExitsWith: .failure) {
      try runLoop { loop, _ in
        let pair = try await TLSPair(loop)
        pair.client.transport.writeEOF()
      }
    }
  }
}
