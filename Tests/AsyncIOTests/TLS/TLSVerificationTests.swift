// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Whom a connection trusts, and in which words it says that it does not.
@Suite struct TLSVerificationTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let certificate: String
    let words: String
    var host = "localhost"
    var testDescription: String { "\(certificate) for \(host)" }
  }

  static let untrusted = [
    Case(certificate: "expired", words: "certificate has expired"),
    Case(certificate: "self", words: "self-signed certificate"),
    Case(certificate: "foreign", words: "unable to get local issuer certificate"),
    Case(certificate: "misused", words: "certificate purpose"),
    Case(
      certificate: "elsewhere",
      words: "hostname mismatch, certificate is valid for elsewhere.test, www.elsewhere.test, 192.0.2.1"),
    Case(certificate: "unnamed", words: "hostname mismatch, certificate is valid for elsewhere.test"),
    Case(certificate: "server", words: "IP address mismatch, certificate is valid for localhost", host: "127.0.0.2"),
    Case(certificate: "server", words: "hostname mismatch", host: "a.b.example.test"),
    Case(certificate: "server", words: "hostname mismatch", host: "example.test"),
  ]

  @Test(
    "a certificate that is not to be trusted is an error in words; the server's protocol never connects",
    arguments: untrusted, [TLSContext.Configuration.Version.tls12, .tls13])
  func rejected(_ test: Case, version: TLSContext.Configuration.Version) throws {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      let (server, accepted) = try await tlsServer(loop, try serverTLS(test.certificate))
      let tls = try clientTLS { $0.maximumVersion = version }
      let recorder = Recorder()
      let error = try await tlsError {
        try await loop.createConnection(
          { recorder }, host: "127.0.0.1", port: server.port, tls: .client(tls, serverHostname: test.host))
      }
      #expect(error.code == .certificate)
      #expect(error.reason == "certificate verify failed")
      #expect(error.verification?.contains(test.words) == true, "\(error)")
      #expect(error.description.hasPrefix("TLS with 127.0.0.1:\(server.port): certificate verify failed: "))
      #expect(recorder.calls == [])
      try await loop.until { server.connectionCount == 0 }
      #expect(accepted.recorders.map(\.calls) == [[]])
      // The server hears of it by an alert.
      #expect((errors.contexts.first?.error as? TLSError)?.reason.contains("alert") == true)
      server.close()
    }
  }

  @Test(
    "Names that a certificate is valid for are accepted",
    arguments: ["localhost", "LOCALHOST", "a.example.test", "127.0.0.1", "::1", "::1%lo", "localhost."])
  func accepted(name: String) throws {
    try runLoop { loop, _ in
      let pair = try await TLSPair(loop, serverHostname: name)
      let sent = pair.server.transport.getExtraInfo(.tls)?.serverName
      #expect(sent == (name.contains(":") || name.hasPrefix("1") ? nil : name.hasSuffix(".") ? "localhost" : name))
      try await pair.close(loop)
    }
  }

  @Test("What insecure settings let through, and what not")
  func insecure() throws {
    try runLoop { loop, _ in
      for name in ["expired", "self", "foreign", "misused", "elsewhere"] {
        let tls = try clientTLS { $0.verification = .insecureNone }
        let pair = try await TLSPair(loop, server: try serverTLS(name), client: tls)
        try await pair.close(loop)
      }
      let nameless = try clientTLS { $0.verification = .insecureWithoutHostName }
      let pair = try await TLSPair(loop, server: try serverTLS("elsewhere"), client: nameless)
      try await pair.close(loop)
      _ = loop.collectErrors()
      let (server, _) = try await tlsServer(loop, try serverTLS("foreign"))
      let error = try await tlsError {
        try await loop.createConnection(
          Recorder.init, host: "127.0.0.1", port: server.port, tls: .client(nameless, serverHostname: "localhost"))
      }
      #expect(error.code == .certificate)
      try await loop.until { server.connectionCount == 0 }
      server.close()
    }
  }

  @Test("The system's roots vouch for none of the tests' certificates")
  func systemRoots() throws {
    try runLoop { loop, _ in
      _ = loop.collectErrors()
      let (server, _) = try await tlsServer(loop)
      let inline = try await tlsError {
        try await loop.createConnection(
          Recorder.init, host: "localhost", port: server.port, family: .ipv4, tls: .client)
      }
      #expect(inline.code == .certificate)
      for tls: ClientTLS in [.client, .client(), .client(serverHostname: "localhost"), try .client { _ in }] {
        let error = try await tlsError {
          try await loop.openConnection(host: "localhost", port: server.port, family: .ipv4, tls: tls)
        }
        #expect(error.code == .certificate)
      }
      try await loop.until { server.connectionCount == 0 }
      server.close()
    }
  }

  // MARK: Clients' certificates

  private func serverAskingClients(_ wanted: TLSContext.Configuration.ClientCertificate) throws -> TLSContext {
    let root = TLSSource.pem(try TestCertificates.text("ca.pem"))
    return try serverTLS {
      $0.clientCertificate = wanted
      $0.trust = .roots([root])
    }
  }

  @Test("A client's certificate is shown, verified and told of", arguments: [true, false])
  func clientCertificate(isRequired: Bool) throws {
    try runLoop { loop, _ in
      let identity = try TestCertificates.identity("client")
      let pair = try await TLSPair(
        loop, server: try serverAskingClients(isRequired ? .required : .optional),
        client: try clientTLS { $0.identity = identity })
      let certificate = try #require(pair.server.transport.getExtraInfo(.tls)?.peerCertificate)
      #expect(certificate.subject == "CN=a client")
      #expect(certificate.names == ["a client"])
      try await pair.close(loop)
    }
  }

  @Test("A client without a certificate is welcome where it is optional, or not asked for", arguments: [true, false])
  func clientWithout(isAsked: Bool) throws {
    try runLoop { loop, _ in
      let pair = try await TLSPair(loop, server: try serverAskingClients(isAsked ? .optional : .notAsked))
      #expect(pair.server.transport.getExtraInfo(.tls)?.peerCertificate == nil)
      try await pair.close(loop)
    }
  }

  @Test(
    "A client without the certificate that is required, or with a stranger's, is refused",
    arguments: [nil, "strange", "server"], [TLSContext.Configuration.Version.tls12, .tls13])
  func clientRefused(name: String?, version: TLSContext.Configuration.Version) throws {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      let (server, accepted) = try await tlsServer(loop, try serverAskingClients(.required))
      let identity = try name.map(TestCertificates.identity)
      let tls = try clientTLS {
        $0.identity = identity
        $0.maximumVersion = version
      }
      let recorder = Recorder()
      do {
        _ = try await loop.createConnection({ recorder }, host: "127.0.0.1", port: server.port, tls: .client(tls))
        // In TLS 1.3 the client is done before the server has seen its certificate.
        #expect(version == .tls13)
        try await loop.until { recorder.isLost }
        #expect(recorder.tlsLoss?.code == .broken)
        #expect(recorder.tlsLoss?.reason.contains("alert") == true)
      } catch let error as TLSError {
        #expect(version == .tls12 && error.reason.contains("alert"))
      }
      try await loop.until { server.connectionCount == 0 }
      let error = try #require(errors.contexts.first?.error as? TLSError)
      if name == nil {
        #expect(error.code == .handshake && error.reason.contains("did not return a certificate"))
      } else {
        #expect(error.code == .certificate && error.verification != nil)
      }
      #expect(accepted.recorders.map(\.calls) == [[]])
      server.close()
    }
  }
}
