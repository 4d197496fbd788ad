// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTLS
import Glibc

let tlsSteps = [
  Step("a stream over TLS", streamOverTLS),
  Step("a certificate that is not trusted", untrustedCertificate),
  Step("a connection upgraded by STARTTLS", upgradedConnection),
]

/// A certificate that nobody but the tour trusts, made by the `openssl` command for one step.
private final class SelfSigned {
  private let folder: String
  var certificate: String { folder + "/certificate.pem" }
  var key: String { folder + "/key.pem" }

  init() throws {
    folder = "/tmp/asyncio-tour-\(UInt64.random(in: .min ... .max))"
    let command = """
      umask 077 && mkdir \(folder) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
      -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout \(folder)/key.pem \
      -out \(folder)/certificate.pem 2>\(folder)/messages
      """
    if system(command) != 0 { throw Failure("the openssl command could not make a certificate") }
  }

  deinit {
    for name in ["certificate.pem", "key.pem", "messages"] { unlink(folder + "/" + name) }
    rmdir(folder)
  }
}

@Sendable func streamOverTLS(_ loop: EventLoop) async throws -> String {
  let identity = try SelfSigned()
  let server = try await loop.startServer(
    host: "127.0.0.1", port: 0, tls: .server(certificateFile: identity.certificate, keyFile: identity.key), echo)
  defer { server.close() }
  let tls = try ClientTLS.client(serverHostname: "localhost") { $0.trust = .roots([.file(identity.certificate)]) }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port, tls: tls)
  try await writer.send("nobody can read this\n")
  try expect(
    "what came back", String(decoding: try await reader.readLine(), as: UTF8.self), is: "nobody can read this\n")
  guard let info = writer.getExtraInfo(.tls) else { throw Failure("the connection is not encrypted") }
  writer.close()
  try await writer.waitClosed()
  return "\(info.version), \(info.cipher), \(info.peerCertificate?.subject ?? "no certificate")"
}

@Sendable func untrustedCertificate(_ loop: EventLoop) async throws -> String {
  let identity = try SelfSigned()
  loop.setExceptionHandler { _, _ in }
  defer { loop.setExceptionHandler(nil) }
  let server = try await loop.startServer(
    host: "127.0.0.1", port: 0, tls: .server(certificateFile: identity.certificate, keyFile: identity.key), echo)
  defer { server.close() }
  do {
    _ = try await loop.openConnection(
      host: "127.0.0.1", port: server.port, tls: .client(serverHostname: "localhost"))
  } catch let error as TLSError {
    try expect(error.code == .certificate, "\(error)")
    server.close()
    try await server.waitClosed()
    return error.verification ?? error.reason
  }
  throw Failure("it was trusted")
}

@Sendable func upgradedConnection(_ loop: EventLoop) async throws -> String {
  let identity = try SelfSigned()
  let serverSide = try ServerTLS.server(certificateFile: identity.certificate, keyFile: identity.key)
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
    guard try await reader.readLine() == Array("STARTTLS\n".utf8) else { return }
    try await writer.startTLS(serverSide)
    try await echo(reader, writer)
  }
  defer { server.close() }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
  writer.write("STARTTLS\n")
  // Without waiting for an answer: what is written before goes out as it is.
  let clientSide = try ClientTLS.client(serverHostname: "localhost") {
    $0.trust = .roots([.file(identity.certificate)])
  }
  try await writer.startTLS(clientSide)
  try await writer.send("and now in secret\n")
  let line = String(decoding: try await reader.readLine(), as: UTF8.self)
  try expect("what came back", line, is: "and now in secret\n")
  writer.close()
  try await writer.waitClosed()
  return "\"STARTTLS\" in the clear, the rest in secret, on one connection"
}
