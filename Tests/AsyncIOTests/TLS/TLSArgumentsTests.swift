// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

/// The values that the `tls:` arguments take: how they are made, and what calls make of them.
@Suite struct TLSArgumentsTests {
  private typealias Call = (name: String, call: (EventLoop, Socket) async throws -> Void)

  /// Every public call that connects, with the TLS given.
  private func connecting(_ tls: ClientTLS) -> [Call] {
    [
      (
        "createConnection",
        { loop, _ in _ = try await loop.createConnection(Recorder.init, host: "::", port: 1, tls: tls) }
      ),
      (
        "createConnection",
        { loop, socket in _ = try await loop.createConnection(Recorder.init, socket: socket, tls: tls) }
      ),
      (
        "createUnixConnection",
        { loop, _ in _ = try await loop.createUnixConnection(Recorder.init, path: "/x", tls: tls) }
      ),
      (
        "createUnixConnection",
        { loop, socket in _ = try await loop.createUnixConnection(Recorder.init, socket: socket, tls: tls) }
      ),
      ("createConnection", { loop, _ in _ = try await loop.openConnection(host: "::", port: 1, tls: tls) }),
      ("createConnection", { loop, socket in _ = try await loop.openConnection(socket: socket, tls: tls) }),
      ("createUnixConnection", { loop, _ in _ = try await loop.openUnixConnection(path: "/x", tls: tls) }),
      ("createUnixConnection", { loop, socket in _ = try await loop.openUnixConnection(socket: socket, tls: tls) }),
    ]
  }

  /// Every public call that accepts connections, with the TLS given.
  private func accepting(_ tls: ServerTLS) -> [Call] {
    [
      (
        "connectAcceptedSocket",
        { loop, socket in _ = try await loop.connectAcceptedSocket(Recorder.init, socket: socket, tls: tls) }
      ),
      ("createServer", { loop, _ in _ = try await loop.createServer(Recorder.init, port: 0, tls: tls) }),
      (
        "createServer", { loop, _ in _ = try await loop.createServer(Recorder.init, hosts: ["::1"], port: 0, tls: tls) }
      ),
      ("createServer", { loop, socket in _ = try await loop.createServer(Recorder.init, socket: socket, tls: tls) }),
      ("createServer", { loop, socket in _ = try await loop.createServer(Recorder.init, sockets: [socket], tls: tls) }),
      ("createUnixServer", { loop, _ in _ = try await loop.createUnixServer(Recorder.init, path: "/x", tls: tls) }),
      (
        "createUnixServer",
        { loop, socket in _ = try await loop.createUnixServer(Recorder.init, socket: socket, tls: tls) }
      ),
      ("createServer", { loop, _ in _ = try await loop.startServer(port: 0, tls: tls) { _, _ in } }),
      ("createServer", { loop, _ in _ = try await loop.startServer(hosts: ["::1"], port: 0, tls: tls) { _, _ in } }),
      ("createServer", { loop, socket in _ = try await loop.startServer(socket: socket, tls: tls) { _, _ in } }),
      ("createServer", { loop, socket in _ = try await loop.startServer(sockets: [socket], tls: tls) { _, _ in } }),
      ("createUnixServer", { loop, _ in _ = try await loop.startUnixServer(path: "/x", tls: tls) { _, _ in } }),
      (
        "createUnixServer", { loop, socket in _ = try await loop.startUnixServer(socket: socket, tls: tls) { _, _ in } }
      ),
    ]
  }

  @Test("The time limits of TLS must be above zero, for every call, which does nothing else then")
  func limits() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (client, server) = (try clientTLS(), try serverTLS())
      let before = kernel.openDescriptors
      for limit in [Duration.zero, .seconds(-1)] {
        let calls =
          connecting(.client(client, serverHostname: "localhost", handshakeTimeout: limit))
          + connecting(.client(client, serverHostname: "localhost", shutdownTimeout: limit))
          + accepting(.server(server, handshakeTimeout: limit)) + accepting(.server(server, shutdownTimeout: limit))
        for (index, (name, call)) in calls.enumerated() {
          let error = await thrown { try await call(loop, near) } as? EventLoopError
          #expect(error?.code == .invalidArgument, "call \(index)")
          #expect(error.map { "\($0)".hasPrefix("\(name): the time limits of TLS") } == true, "call \(index)")
        }
      }
      #expect(kernel.openDescriptors == before)
      near.close()
      far.close()
    }
  }

  @Test("A provider that is made late is made once for a call, however many addresses that tries")
  func lateProviderOnce() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await tlsServer(loop)
      let port = UInt16(server.port)
      // Nobody listens at the first two.
      kernel.answerLookUps { _ in addresses(["127.0.0.3", "127.0.0.2", "127.0.0.1"], Int(port)) }
      let asked = Mutex(0)
      let context = try clientTLS()
      let tls = ClientTLS(serverHostname: "localhost") { () throws(TLSError) in
        asked.withLock { $0 += 1 }
        return context
      }
      for count in 1...2 {
        let (transport, recorder) = try await loop.createConnection(
          Recorder.init, host: "several.test", port: Int(port), tls: tls)
        #expect(transport.getExtraInfo(.tls) != nil && asked.withLock { $0 } == count)
        transport.close()
        try await loop.until { recorder.isLost }
      }
      try await loop.until { accepted.recorders.count == 2 && accepted.recorders.allSatisfy(\.isLost) }
      server.close()
    }
  }

  @Test("A server on several sockets of the program's encrypts what comes by each of them")
  func severalSockets() throws {
    try runLoop { loop, kernel in
      let sockets = [try listeningSocket(kernel), try listeningSocket(kernel)]
      let ports = try sockets.map { Int(try #require($0.localAddress?.port)) }
      let accepted = Accepted()
      let server = try await loop.createServer(
        {
          accepted.recorders.append(Recorder())
          return accepted.recorders[accepted.recorders.count - 1]
        }, sockets: sockets, tls: .server(serverTLS()))
      for (index, port) in ports.enumerated() {
        let (transport, client) = try await loop.createConnection(
          Recorder.init, host: "127.0.0.1", port: port, tls: .client(clientTLS(), serverHostname: "localhost"))
        transport.write("by socket \(index)")
        try await loop.until {
          accepted.recorders.count > index && accepted.recorders[index].text == "by socket \(index)"
        }
        #expect(accepted.recorders[index].transport.getExtraInfo(.tls)?.version == "TLSv1.3")
        transport.close()
        try await loop.until { client.isLost && accepted.recorders[index].isLost }
      }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("The error of a provider that cannot be made is thrown by the call that connects, before anything is done")
  func lateProviderFails() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let asked = Mutex(0)
      let failure = TLSError(.configuration, "no roots today")
      let tls = ClientTLS(serverHostname: "localhost") { () throws(TLSError) in
        asked.withLock { $0 += 1 }
        throw failure
      }
      #expect(asked.withLock { $0 } == 0)
      let before = kernel.openDescriptors
      for (index, (_, call)) in connecting(tls).enumerated() {
        let error = try await tlsError { try await call(loop, near) }
        #expect(error == failure && asked.withLock { $0 } == index + 1, "call \(index)")
      }
      #expect(kernel.openDescriptors == before)
      // The socket is still the caller's.
      let (transport, recorder) = try await loop.createConnection(Recorder.init, socket: near)
      let upgrade = try await tlsError { try await loop.startTLS(transport, Recorder(), tls) }
      #expect(upgrade == failure)
      transport.write("still plain")
      #expect(try await Peer(far).receive(11, on: loop) == octets("still plain"))
      transport.abort()
      try await loop.until { recorder.isLost }
      far.close()
    }
  }

  @Test("A startTLS that is refused leaves the reader what it has, unencrypted")
  func refusedUpgrade() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (reader, writer) = try await loop.openConnection(socket: near)
      try Peer(far).send("unread\n")
      try await loop.until { reader.unreadCount == 7 }
      let failing = ClientTLS(serverHostname: "localhost") { () throws(TLSError) in throw TLSError(.configuration, "no")
      }
      #expect(try await tlsError { try await writer.startTLS(failing) }.reason == "no")
      let nameless = await thrown { try await writer.startTLS(.client) } as? EventLoopError
      #expect(nameless?.code == .invalidArgument)
      let limitless = await thrown { try await writer.startTLS(.server(serverTLS(), handshakeTimeout: .zero)) }
      #expect((limitless as? EventLoopError)?.code == .invalidArgument)
      #expect(try await reader.readLine() == octets("unread\n"))
      writer.close()
      far.close()
      try await writer.waitClosed()
    }
  }

  @Test("All clients that set nothing share one context in the process; others have their own")
  func sharedContext() throws {
    func context(_ tls: ClientTLS) throws -> TLSContext { try #require(try tls.provider() as? TLSContext) }
    let shared = try context(.client)
    #expect(try context(.client) === shared)
    #expect(try context(.client()) === shared)
    #expect(try context(.client(serverHostname: "localhost", handshakeTimeout: .seconds(1))) === shared)
    #expect(shared.configuration.trust == .system && shared.configuration.verification == .full)
    let own = try ClientTLS.client { $0.alpnProtocols = ["own"] }
    #expect(try context(own) !== shared)
    #expect(try context(own) === context(own))
    #expect(try context(own).configuration.alpnProtocols == ["own"])
    let given = try clientTLS()
    #expect(try context(.client(given)) === given && context(ClientTLS(given)) === given)
  }

  @Test("Names and limits are the ones given, and a minute and half of one without")
  func settings() throws {
    let (context, server) = (try clientTLS(), try serverTLS())
    let (certificate, key) = (try TestCertificates.path("server.pem"), try TestCertificates.path("server.key"))
    func settings(_ tls: ClientTLS) -> [String] {
      [tls.serverHostname ?? "the host", "\(tls.handshakeTimeout)", "\(tls.shutdownTimeout)"]
    }
    func settings(_ tls: ServerTLS) -> [String] { ["\(tls.handshakeTimeout)", "\(tls.shutdownTimeout)"] }
    let (one, two) = (Duration.seconds(1), Duration.seconds(2))
    let minutes = ["\(Duration.seconds(60))", "\(Duration.seconds(30))"]
    for tls: ClientTLS in [.client, .client(), .client(context), try .client { _ in }, ClientTLS(context)] {
      #expect(settings(tls) == ["the host"] + minutes)
    }
    for tls: ClientTLS in [
      .client(serverHostname: "a", handshakeTimeout: one, shutdownTimeout: two),
      .client(context, serverHostname: "a", handshakeTimeout: one, shutdownTimeout: two),
      try .client(serverHostname: "a", handshakeTimeout: one, shutdownTimeout: two) { _ in },
      ClientTLS(context, serverHostname: "a", handshakeTimeout: one, shutdownTimeout: two),
    ] {
      #expect(settings(tls) == ["a", "\(one)", "\(two)"])
    }
    let identity = try TestCertificates.identity("server")
    for tls: ServerTLS in [
      .server(server), ServerTLS(server), try .server(identity),
      try .server(certificateFile: certificate, keyFile: key),
    ] {
      #expect(settings(tls) == minutes)
    }
    for tls: ServerTLS in [
      .server(server, handshakeTimeout: one, shutdownTimeout: two),
      ServerTLS(server, handshakeTimeout: one, shutdownTimeout: two),
      try .server(identity, handshakeTimeout: one, shutdownTimeout: two) { _ in },
      try .server(certificateFile: certificate, keyFile: key, handshakeTimeout: one, shutdownTimeout: two) { _ in },
    ] {
      #expect(settings(tls) == ["\(one)", "\(two)"])
    }
  }

  @Test("A server's files, and what they are configured with, are used; those that are missing are an error at once")
  func serverFiles() throws {
    try runLoop { loop, _ in
      let (certificate, key) = (try TestCertificates.path("server.pem"), try TestCertificates.path("server.key"))
      let root = TLSSource.file(try TestCertificates.path("ca.pem"))
      let server = try await loop.startServer(
        host: "127.0.0.1", port: 0,
        tls: .server(certificateFile: certificate, keyFile: key) { $0.alpnProtocols = ["second"] }
      ) { reader, writer in try await writer.send(reader.readLine()) }
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: server.port,
        tls: .client(serverHostname: "localhost") {
          $0.trust = .roots([root])
          $0.alpnProtocols = ["first", "second"]
        })
      try await writer.send("hello\n")
      #expect(try await reader.readLine() == octets("hello\n"))
      #expect(writer.getExtraInfo(.tls)?.alpnProtocol == "second")
      writer.close()
      try await writer.waitClosed()
      server.close()
      try await server.waitClosed()
      let missing = try await tlsError { try ServerTLS.server(certificateFile: "/nowhere.pem", keyFile: key) }
      #expect(missing.code == .configuration)
      let noRoot = try await tlsError { try ClientTLS.client { $0.trust = .roots([.file("/nowhere.pem")]) } }
      #expect(noRoot.code == .configuration)
    }
  }

  @Test("Who accepted a connection may begin the handshake, and who opened it may wait for that")
  func reversedRoles() throws {
    try runLoop { loop, _ in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { _, writer in
        try await writer.startTLS(.client(clientTLS(), serverHostname: "localhost"))
        try await writer.send("encrypted\n")
      }
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
      try await writer.startTLS(.server(serverTLS()))
      #expect(try await reader.readLine() == octets("encrypted\n"))
      #expect(writer.getExtraInfo(.tls)?.serverName == "localhost")
      writer.close()
      try await writer.waitClosed()
      server.close()
      try await server.waitClosed()
    }
  }
}
