// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Which name a client has the server's certificate checked for, and that nothing but a setting with `insecure` in its name
/// turns the check off.
@Suite struct TLSServerNameTests {
  @Test("An empty host is no name: connecting to it needs a serverHostname, and an empty one is none")
  func emptyHost() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await tlsServer(loop, try serverTLS("elsewhere"))
      let (port, tls) = (server.port, try clientTLS())
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let calls: [() async throws -> Void] = [
        { _ = try await loop.createConnection(Recorder.init, host: "", port: port, tls: .client(tls)) },
        {
          _ = try await loop.createConnection(
            Recorder.init, host: "", port: port, tls: .client(tls, serverHostname: ""))
        },
        {
          _ = try await loop.createConnection(
            Recorder.init, host: "localhost", port: port, tls: .client(tls, serverHostname: ""))
        },
        { _ = try await loop.openConnection(host: "", port: port, tls: .client(tls)) },
        { _ = try await loop.openConnection(host: "localhost", port: port, tls: .client(tls, serverHostname: "")) },
        { _ = try await loop.createConnection(Recorder.init, socket: near, tls: .client(tls, serverHostname: "")) },
        { _ = try await loop.openConnection(socket: near, tls: .client(tls)) },
        { _ = try await loop.createUnixConnection(Recorder.init, path: "/x", tls: .client(tls, serverHostname: "")) },
        { _ = try await loop.openUnixConnection(path: "/x", tls: .client(tls)) },
      ]
      for (index, call) in calls.enumerated() {
        let error = await thrown(call) as? EventLoopError
        #expect(error?.code == .invalidArgument, "call \(index)")
        #expect(error.map { "\($0)".contains("serverHostname") } == true, "call \(index)")
      }
      #expect(accepted.recorders.isEmpty, "the server was connected to")
      near.close()
      far.close()
      server.close()
    }
  }

  @Test("A context that checks no name takes none, and says so by its name", arguments: [false, true])
  func insecure(trustsAnyone: Bool) throws {
    try runLoop { loop, _ in
      let server = trustsAnyone ? "foreign" : "elsewhere"
      let tls = try clientTLS { $0.verification = trustsAnyone ? .insecureNone : .insecureWithoutHostName }
      #expect(tls.insecurelyIgnoresServerName)
      #expect(!(try clientTLS().insecurelyIgnoresServerName) && !PlainTLS(piece: 1).insecurelyIgnoresServerName)
      let pair = try await TLSPair(loop, server: try serverTLS(server), client: tls, serverHostname: "")
      #expect(pair.server.transport.getExtraInfo(.tls)?.serverName == nil)
      try await pair.close(loop)
      // By the host's name, which is asked for and not checked.
      let (listener, accepted) = try await tlsServer(loop, try serverTLS(server))
      let (transport, _) = try await loop.createConnection(
        Recorder.init, host: "localhost", port: listener.port, family: .ipv4, tls: .client(tls))
      try await loop.until { accepted.recorders.first?.calls == [.made] }
      #expect(accepted.recorders[0].transport.getExtraInfo(.tls)?.serverName == "localhost")
      transport.abort()
      listener.close()
      try await listener.waitClosed()
    }
  }

  @Test(
    "A name of which nothing is left to check, or that stands for many, is refused before anything is sent",
    arguments: ["", ".", "..", "%lo", ".%lo", ".example.test", ".localhost", ".test.", "local\0host"])
  func uselessNames(name: String) async throws {
    let error = try await tlsError { try clientTLS().makeEngine(for: .client(serverName: name)) }
    #expect(error.code == .configuration, "\(name)")
    // They are no more use where they are only asked for.
    let nameless = try clientTLS { $0.verification = .insecureWithoutHostName }
    #expect(throws: TLSError.self) { try nameless.makeEngine(for: .client(serverName: name)) }
  }

  @Test("An engine without a name is made only where none is checked")
  func engineWithoutName() async throws {
    let error = try await tlsError { try clientTLS().makeEngine(for: .client(serverName: nil)) }
    #expect(error.code == .configuration && error.reason.contains("name"))
    _ = try clientTLS { $0.verification = .insecureWithoutHostName }.makeEngine(for: .client(serverName: nil))
  }

  @Test("A leading dot does not make a name of a certificate's that is below it good enough")
  func leadingDot() throws {
    try runLoop { loop, _ in
      let (server, accepted) = try await tlsServer(loop, try serverTLS("elsewhere"))
      let error = try await tlsError {
        try await loop.createConnection(
          Recorder.init, host: "127.0.0.1", port: server.port,
          tls: .client(clientTLS(), serverHostname: ".elsewhere.test"))
      }
      #expect(error.code == .configuration && error.description.contains("dot"))
      try await loop.until { server.connectionCount == 0 }
      #expect(accepted.recorders.allSatisfy { $0.calls.isEmpty })
      server.close()
    }
  }

  @Test("The names in a stranger's certificate reach an error's text escaped, and not at any length")
  func hostileNames() throws {
    try runLoop { loop, _ in
      _ = loop.collectErrors()
      let (server, _) = try await tlsServer(loop, try serverTLS("hostile"))
      let error = try await tlsError {
        try await loop.createConnection(
          Recorder.init, host: "127.0.0.1", port: server.port, tls: .client(clientTLS(), serverHostname: "localhost"))
      }
      let words = try #require(error.verification)
      #expect(words.contains("certificate is valid for red\\x1B[31m\\x08\\x07.test, aaa"))
      #expect(words.hasSuffix("a…") && words.count < 400, "\(words.count)")
      for text in [words, error.description] {
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 32 }, "\(text)")
      }
      try await loop.until { server.connectionCount == 0 }
      server.close()
    }
  }
}
