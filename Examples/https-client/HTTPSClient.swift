// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import AsyncIO
import AsyncIOTLS

/// Fetches a page over TLS, from any server.
@main
struct HTTPSClient: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "https-client", abstract: "Fetches a page over TLS, and prints it.")

  @Argument(help: "The server's name or address.")
  var host: String
  @Argument(help: "The page.")
  var path = "/"
  @Option(help: "The server's port.")
  var port = 443
  @Option(help: "A file with the roots to trust, in PEM; the system's without it.")
  var roots: String?

  func run() throws {
    try EventLoop.run { loop in
      let tls = try ClientTLS.client {
        if let roots { $0.trust = .roots([.file(roots)]) }
        $0.alpnProtocols = ["http/1.1"]
      }
      let (reader, writer) = try await loop.openConnection(host: host, port: port, tls: tls)
      if let info = writer.getExtraInfo(.tls) {
        print("\(info.version), \(info.cipher), \(info.peerCertificate?.subject ?? "no certificate")")
      }
      try await writer.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
      for try await line in reader.lines { print(line) }
      writer.close()
      try await writer.waitClosed()
    }
  }
}
