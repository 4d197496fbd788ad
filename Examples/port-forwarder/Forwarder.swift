// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Forwards each connection to a port of another host, both ways.
func startForwarder(_ loop: EventLoop, port: Int, to host: String, _ remotePort: Int) async throws -> Server {
  try await loop.startServer(host: "127.0.0.1", port: port) { reader, writer in
    let (remoteReader, remoteWriter) = try await loop.withTimeout(.seconds(10)) {
      try await loop.openConnection(host: host, port: remotePort)
    }
    defer { remoteWriter.close() }
    // It ends with both directions, or as soon as one fails.
    _ = try await loop.gather({ try await copy(reader, remoteWriter) }, { try await copy(remoteReader, writer) })
  }
}

/// Passes on what comes. A side that has no more to send says so, and the other may go on.
private func copy(_ reader: StreamReader, _ writer: StreamWriter) async throws {
  for try await chunk in reader { try await writer.send(chunk) }
  writer.writeEOF()
}
