// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTLS
import Foundation

/// A certificate for the host `server`, made once in a process by the `openssl` command.
///
/// Its signatures have one length, so that the number of bytes of a handshake does not change from run to run.
enum TestCertificate {
  static let files: (certificate: String, key: String) = {
    let folder = FileManager.default.temporaryDirectory.path + "/asyncio-testing-\(UUID())"
    let (certificate, key) = (folder + "/certificate.pem", folder + "/key.pem")
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let openssl = Process()
    openssl.executableURL = URL(filePath: "/usr/bin/env")
    openssl.arguments = [
      "openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=server", "-addext",
      "subjectAltName=DNS:server", "-keyout", key, "-out", certificate,
    ]
    openssl.standardError = FileHandle.nullDevice
    try? openssl.run()
    openssl.waitUntilExit()
    return (certificate, key)
  }()

  /// Shared by all runs, since reading files takes longer than most of those. No session is taken up again: it would be one of
  /// another run.
  private static let server = Result { try TLSContext.server(certificateFile: files.certificate, keyFile: files.key) }
  private static let client = Result {
    try TLSContext.client {
      $0.trust = .roots([.file(files.certificate)])
      $0.resumesSessions = false
    }
  }

  static func serverTLS() throws -> ServerTLS { .server(try server.get()) }
  static func clientTLS() throws -> ClientTLS { .client(try client.get()) }
}
