// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import Foundation
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

/// What a context can be set to.
@Suite struct TLSConfigurationTests {
  private typealias Configuration = TLSContext.Configuration

  /// Makes a connection, and tells what both ends say of it.
  private func connect(
    _ loop: EventLoop, _ server: TLSContext, _ client: TLSContext, serverHostname: String = "localhost"
  ) async throws -> (client: TLSInfo, server: TLSInfo) {
    let pair = try await TLSPair(loop, server: server, client: client, serverHostname: serverHostname)
    let infos = (
      try #require(pair.client.transport.getExtraInfo(.tls)), try #require(pair.server.transport.getExtraInfo(.tls))
    )
    try await pair.close(loop)
    return infos
  }

  /// What the caller of a connection that cannot be made is told.
  private func failure(_ loop: EventLoop, _ server: TLSContext, _ client: TLSContext) async throws -> TLSError {
    _ = loop.collectErrors()
    let (listener, _) = try await tlsServer(loop, server)
    defer { listener.close() }
    let error = try await tlsError {
      try await loop.createConnection(
        Recorder.init, host: "127.0.0.1", port: listener.port, tls: .client(client, serverHostname: "localhost"))
    }
    try await loop.until { listener.connectionCount == 0 }
    return error
  }

  // MARK: Certificates and keys

  enum Source: CaseIterable, Sendable {
    case files, text, der, derFiles, oneFile, encryptedFile, encryptedDER

    func identity() throws -> TLSIdentity {
      let certificate = TLSSource.file(try TestCertificates.path("server.pem"))
      switch self {
      case .files: return try TestCertificates.identity("server")
      case .text:
        return TLSIdentity(
          certificate: .pem(try TestCertificates.text("server.pem")), key: .pem(try TestCertificates.text("server.key"))
        )
      case .der:
        return TLSIdentity(
          certificate: .der(try TestCertificates.bytes("server.der")),
          key: .der(try TestCertificates.bytes("server.key.der")))
      case .derFiles:
        return TLSIdentity(
          certificate: .file(try TestCertificates.path("server.der")),
          key: .file(try TestCertificates.path("server.key.der")))
      case .oneFile:
        let both = TLSSource.file(try TestCertificates.path("both.pem"))
        return TLSIdentity(certificate: both, key: both)
      case .encryptedFile:
        return TLSIdentity(
          certificate: certificate, key: .file(try TestCertificates.path("encrypted.key")), password: "open-sesame")
      case .encryptedDER:
        return TLSIdentity(
          certificate: certificate, key: .der(try TestCertificates.bytes("encrypted.der")), password: "open-sesame")
      }
    }
  }

  @Test("Identities come from files, text and bytes, encrypted or not", arguments: Source.allCases)
  func identities(source: Source) throws {
    try runLoop { loop, _ in
      let roots = [TLSSource.der(try rootDER())]
      let infos = try await connect(
        loop, try TLSContext.server(source.identity()), try clientTLS { $0.trust = .roots(roots) })
      #expect(infos.client.peerCertificate?.subject == "O=Server,CN=localhost")
    }
  }

  private func rootDER() throws -> [UInt8] {
    // What a PEM text holds between its lines.
    let text = try TestCertificates.text("ca.pem").split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
    return [UInt8](try #require(base64(text)))
  }

  @Test("A chain of certificates is sent along")
  func chain() throws {
    try runLoop { loop, _ in
      let identity = TLSIdentity(
        certificate: .file(try TestCertificates.path("server.pem")),
        chain: [.file(try TestCertificates.path("ca.pem"))],
        key: .file(try TestCertificates.path("server.key")))
      let infos = try await connect(loop, try TLSContext.server(identity), try clientTLS())
      #expect(infos.client.peerCertificates.count == 2)
      let issuer = try TLSCertificate(der: infos.client.peerCertificates[1])
      #expect(issuer.subject == "CN=Test root" && issuer.issuer == "CN=Test root")
    }
  }

  @Test("What is wrong with certificates, keys and settings is told in words, with the file's name")
  func mistakes() async throws {
    let path = try TestCertificates.path("")
    func reason(
      certificate: TLSSource = .file(path + "server.pem"), key: TLSSource = .file(path + "server.key"),
      password: String? = nil, _ configure: (inout TLSContext.Configuration) -> Void = { _ in }
    ) async throws -> String {
      let error = try await tlsError {
        try TLSContext.server(TLSIdentity(certificate: certificate, key: key, password: password), configure)
      }
      #expect(error.code == .configuration)
      return error.description
    }
    let missing = try await reason(certificate: .file("/nowhere/a.pem"))
    #expect(missing == "TLS configuration /nowhere/a.pem: No such file or directory")
    #expect(try await reason(certificate: .file(path + "server.key")).contains("no start line"))
    #expect(try await reason(certificate: .der([1, 2, 3])).contains("the given DER bytes"))
    #expect(try await reason(key: .pem("no key")).contains("the given PEM text"))
    #expect(try await reason(key: .file(path + "client.key")).contains("key values mismatch"))
    let needsPassword = try await reason(key: .file(path + "encrypted.key"))
    #expect(needsPassword.hasSuffix("encrypted.key: the key is encrypted, and no password was given"))
    let wrong = try await reason(key: .file(path + "encrypted.key"), password: "wrong")
    #expect(wrong.hasSuffix("encrypted.key: the password does not decrypt the key"))
    #expect(
      try await reason(key: .file(path + "encrypted.key"), password: String(repeating: "x", count: 5000)) == wrong)
    // With some passwords, what comes out even begins like a key.
    for number in 0..<300 {
      #expect(try await reason(key: .file(path + "encrypted.key"), password: "wrong \(number)") == wrong)
    }
    #expect(try await reason { $0.ciphers = "NO-SUCH-CIPHER" }.contains("NO-SUCH-CIPHER: no cipher match"))
    #expect(try await reason { $0.cipherSuites = "TLS_NO_SUCH" }.contains("TLS_NO_SUCH"))
    #expect(try await reason { $0.groups = ["X25519", "nonsense"] }.contains("X25519:nonsense"))
    #expect(try await reason { $0.alpnProtocols = ["h2", ""] }.contains("1 to 255 bytes"))
    #expect(try await reason { $0.alpnProtocols = [String(repeating: "x", count: 256)] }.contains("1 to 255 bytes"))
    #expect(try await reason { $0.maximumVersion = .insecureTLS11 }.contains("older"))
    #expect(try await reason { $0.insecureKeyLogFile = "/nowhere/keys" }.contains("/nowhere/keys"))
    let root = TLSSource.file(path + "server.ext")
    let noRoot = try await tlsError { try TLSContext.client { $0.trust = .roots([root]) } }
    #expect(noRoot.code == .configuration)
    let name = try await tlsError { try clientTLS().makeEngine(for: .client(serverName: "a\0b")) }
    #expect(name.code == .configuration)
    let server = try await tlsError { try clientTLS().makeEngine(for: .server) }
    #expect(server.code == .configuration)
    let client = try await tlsError { try serverTLS().makeEngine(for: .client(serverName: nil)) }
    #expect(client.code == .configuration)
    #expect(throws: TLSError.self) { try TLSCertificate(der: [1, 2, 3]) }
  }

  // MARK: Versions, ciphers, protocols

  @Test("Versions below TLS 1.2 are off unless they are asked for by their names")
  func versions() throws {
    try runLoop { loop, _ in
      let oldClient = try clientTLS {
        $0.minimumVersion = .insecureTLS10
        $0.maximumVersion = .insecureTLS11
      }
      let error = try await failure(loop, try serverTLS(), oldClient)
      #expect(error.code == .handshake && error.reason.contains("protocol version"), "\(error)")
      let oldServer = try serverTLS { $0.minimumVersion = .insecureTLS10 }
      #expect(try await connect(loop, oldServer, oldClient).client.version == "TLSv1.1")
      let newServer = try serverTLS { $0.minimumVersion = .tls13 }
      let refused = try await failure(loop, newServer, try clientTLS { $0.maximumVersion = .tls12 })
      #expect(refused.reason.contains("protocol version"))
      #expect(try await connect(loop, newServer, try clientTLS()).server.version == "TLSv1.3")
    }
  }

  @Test("Ciphers and groups are those of the lists")
  func ciphers() throws {
    try runLoop { loop, _ in
      let server = try serverTLS()
      let old = try await connect(
        loop, server,
        try clientTLS {
          $0.maximumVersion = .tls12
          $0.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"
        })
      #expect(old.client.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256" && old.client.cipherBits == 128)
      let new = try await connect(loop, server, try clientTLS { $0.cipherSuites = "TLS_CHACHA20_POLY1305_SHA256" })
      #expect(new.server.cipher == "TLS_CHACHA20_POLY1305_SHA256")
      let groups = try serverTLS { $0.groups = ["P-384"] }
      _ = try await connect(loop, groups, try clientTLS { $0.groups = ["X25519", "P-384"] })
      let error = try await failure(loop, groups, try clientTLS { $0.groups = ["X25519"] })
      #expect(error.code == .handshake)
    }
  }

  @Test("ALPN: the server's preference, nothing where one end offers none, an error where there is none in common")
  func alpn() throws {
    try runLoop { loop, _ in
      let server = try serverTLS { $0.alpnProtocols = ["a", "b"] }
      #expect(
        try await connect(loop, server, try clientTLS { $0.alpnProtocols = ["b", "a"] }).client.alpnProtocol == "a")
      #expect(
        try await connect(loop, server, try clientTLS { $0.alpnProtocols = ["c", "b"] }).server.alpnProtocol == "b")
      #expect(try await connect(loop, server, try clientTLS()).client.alpnProtocol == nil)
      let plain = try serverTLS()
      #expect(try await connect(loop, plain, try clientTLS { $0.alpnProtocols = ["b"] }).client.alpnProtocol == nil)
      let error = try await failure(loop, server, try clientTLS { $0.alpnProtocols = ["c", "ab"] })
      #expect(error.reason.contains("no application protocol"))
    }
  }

  @Test("SNI: the name picks the context, with its certificate, protocols and demands")
  func serverNames() throws {
    try runLoop { loop, _ in
      let root = TLSSource.file(try TestCertificates.path("ca.pem"))
      let second = try serverTLS("second") { $0.alpnProtocols = ["second"] }
      let demanding = try serverTLS("second") {
        $0.trust = .roots([root])
        $0.clientCertificate = .required
      }
      let asked = Shared<[String?]>([])
      let server = try serverTLS {
        $0.alpnProtocols = ["first"]
        $0.contextForServerName = { name in
          asked.withLock { $0.append(name) }
          return name == "second.test" ? second : name == "demanding.test" ? demanding : nil
        }
      }
      let client = try clientTLS { $0.alpnProtocols = ["second", "first"] }
      let first = try await connect(loop, server, client)
      #expect(first.client.alpnProtocol == "first" && first.client.peerCertificate?.subject == "O=Server,CN=localhost")
      let other = try await connect(loop, server, client, serverHostname: "second.test")
      #expect(other.client.alpnProtocol == "second" && other.client.peerCertificate?.subject == "CN=second.test")
      #expect(other.server.serverName == "second.test")
      _ = try await connect(loop, server, client, serverHostname: "127.0.0.1")
      #expect(asked.current == ["localhost", "second.test", nil])
      let identity = try TestCertificates.identity("client")
      let known = try clientTLS {
        $0.verification = .insecureWithoutHostName
        $0.identity = identity
      }
      for _ in 0..<2 {
        // Also with the session of the first time.
        let shown = try await connect(loop, server, known, serverHostname: "demanding.test")
        #expect(shown.server.peerCertificate?.subject == "CN=a client")
      }
      _ = loop.collectErrors()
      let (listener, accepted) = try await tlsServer(loop, server)
      let nameless = try clientTLS {
        $0.verification = .insecureWithoutHostName
        $0.maximumVersion = .tls12
      }
      let error = try await tlsError {
        try await loop.createConnection(
          Recorder.init, host: "127.0.0.1", port: listener.port,
          tls: .client(nameless, serverHostname: "demanding.test"))
      }
      #expect(error.reason.contains("alert"))
      try await loop.until { listener.connectionCount == 0 }
      #expect(accepted.recorders.allSatisfy { $0.calls.isEmpty })
      listener.close()
    }
  }

  // MARK: Sessions

  @Test(
    "A session is taken up again, unless one end does not want to",
    arguments: [TLSContext.Configuration.Version.tls12, .tls13])
  func resumption(version: TLSContext.Configuration.Version) throws {
    try runLoop { loop, _ in
      func resumed(_ server: TLSContext, _ client: TLSContext, _ names: [String]) async throws -> [Bool] {
        var answers: [Bool] = []
        for name in names {
          let pair = try await TLSPair(loop, server: server, client: client, serverHostname: name) {
            // The tickets of TLS 1.3 come with the first data.
            $0.onMade = { $0.write("x") }
          }
          try await loop.until { pair.client.text == "x" }
          let info = try #require(pair.client.transport.getExtraInfo(.tls))
          #expect(info.isResumed == pair.server.transport.getExtraInfo(.tls)?.isResumed)
          #expect(info.peerCertificate?.subject == "O=Server,CN=localhost")
          answers.append(info.isResumed)
          try await pair.close(loop)
        }
        return answers
      }
      let server = try serverTLS()
      let client = try clientTLS { $0.maximumVersion = version }
      #expect(try await resumed(server, client, ["localhost", "localhost", "localhost"]) == [false, true, true])
      // Another name is another server; no name is none.
      #expect(try await resumed(server, client, ["a.example.test"]) == [false])
      let nameless = try clientTLS {
        $0.maximumVersion = version
        $0.verification = .insecureWithoutHostName
      }
      #expect(try await resumed(server, nameless, ["", "", "localhost"]) == [false, false, false])
      #expect(try await resumed(server, client, ["localhost"]) == [true])
      let forgetful = try clientTLS {
        $0.maximumVersion = version
        $0.resumesSessions = false
      }
      #expect(try await resumed(server, forgetful, ["localhost", "localhost"]) == [false, false])
      let refusing = try serverTLS { $0.resumesSessions = false }
      let fresh = try clientTLS { $0.maximumVersion = version }
      #expect(try await resumed(refusing, fresh, ["localhost", "localhost"]) == [false, false])
    }
  }

  @Test("The store keeps the latest two sessions of the latest 256 servers")
  func sessionLimits() throws {
    try runLoop { loop, _ in
      // Through the context, one connection a name: the first names are forgotten.
      let server = try serverTLS()
      let client = try clientTLS { $0.verification = .insecureWithoutHostName }
      let finish = { (a: HandDrivenTLS) throws -> Bool in
        let b = try HandDrivenTLS(server, .server)
        try a.feed([])
        while !(a.isDone && b.isDone) || !a.outgoing.isEmpty || !b.outgoing.isEmpty {
          try b.feed(a.takeOutgoing())
          try a.feed(b.takeOutgoing())
        }
        return a.engine.info.isResumed
      }
      let handshake = { (name: String) throws -> Bool in
        try finish(HandDrivenTLS(client, .client(serverName: name)))
      }
      for number in 0..<257 { #expect(try !handshake("host\(number).test")) }
      #expect(try !handshake("host0.test"), "the oldest is still there")
      #expect(try handshake("host256.test"))
      // Nobody is to see the same ticket twice.
      let three = try (0..<3).map { _ in try HandDrivenTLS(client, .client(serverName: "host255.test")) }
      // All at the same time: once the first is done, OpenSSL does not offer its session again anyway.
      for hand in three { try hand.feed([]) }
      #expect(try three.map(finish).filter { $0 }.count < 3, "a ticket was used again")
    }
  }

  // MARK: The rest

  @Test("Keys are logged for tools on demand, in their format")
  func keyLog() throws {
    try runLoop { loop, _ in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "keys")
      let client = try clientTLS { $0.insecureKeyLogFile = path }
      _ = try await connect(loop, try serverTLS(), client)
      let file = try FileDescriptor.open(path, .readOnly)
      defer { try? file.close() }
      var bytes = [UInt8](repeating: 0, count: 10_000)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
      let lines = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
      #expect(lines.contains { $0.hasPrefix("CLIENT_TRAFFIC_SECRET_0 ") })
      #expect(lines.allSatisfy { $0.split(separator: " ").count == 3 })
      // For its owner alone, and later connections' keys behind the earlier ones'.
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      _ = try await connect(loop, try serverTLS(), try clientTLS { $0.insecureKeyLogFile = path })
      let longer = try bytes.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: 0, into: $0) }
      #expect(longer > count && String(decoding: bytes[..<count], as: UTF8.self).hasSuffix("\n"))
    }
  }

  @Test("A link in the place of the file for keys is not followed, and what cannot be opened is an error with its name")
  func keyLogFile() async throws {
    let folder = try TemporaryFolder()
    let (victim, link) = (folder.path(of: "victim"), folder.path(of: "link"))
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: victim)
    for path in [link, folder.path(of: "no/such/folder")] {
      let error = try await tlsError { try clientTLS { $0.insecureKeyLogFile = path } }
      #expect(error.code == .configuration && error.subject == path)
    }
    #expect(!FileManager.default.fileExists(atPath: victim))
  }

  @Test("Connections that give back their buffers work as others do")
  func idleBuffers() throws {
    try runLoop { loop, _ in
      let server = try serverTLS { $0.releasesIdleBuffers = true }
      let pair = try await TLSPair(loop, server: server, client: try clientTLS { $0.releasesIdleBuffers = true })
      for _ in 0..<3 {
        pair.client.transport.write(pattern(50_000))
        pair.server.transport.write(pattern(50_000))
      }
      try await loop.until { pair.client.received.count == 150_000 && pair.server.received.count == 150_000 }
      try await pair.close(loop)
    }
  }

  @Test("A context says what it was made with, and errors read as sentences")
  func descriptions() throws {
    let context = try serverTLS { $0.alpnProtocols = ["a"] }
    #expect(context.configuration.alpnProtocols == ["a"])
    #expect(!context.insecurelyAcceptsTruncation)
    #expect(TLSError(.handshake, "no").description == "TLS: no")
    #expect(TLSError(.certificate, "no", verification: "old", subject: "a:1").description == "TLS with a:1: no: old")
    #expect(TLSError(.configuration, "no").description == "TLS configuration: no")
    #expect(TLSError.Code.truncated.description == "truncated")
    #expect(TLSContext.Configuration.Version.insecureTLS10 < .tls12)
  }
}
