// SPDX-License-Identifier: Apache-2.0
// Forwards each connection to another host, both ways. A side that has no more to send says so, and the other may go on.
// Try: port-forwarder 8080 127.0.0.1 8888
import AsyncIO
import Glibc

func copy(_ reader: StreamReader, _ writer: StreamWriter) async throws {
  for try await chunk in reader { try await writer.send(chunk) }
  writer.writeEOF()
}

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count == 3, let port = Int(arguments[0]), let remotePort = Int(arguments[2]) else {
  print("usage: port-forwarder PORT HOST HOST'S-PORT")
  exit(2)
}
let host = arguments[1]

EventLoop.main { loop in
  let server = try await loop.startServer(host: "127.0.0.1", port: port) { reader, writer in
    let (remoteReader, remoteWriter) = try await loop.withTimeout(.seconds(10)) {
      try await loop.openConnection(host: host, port: remotePort)
    }
    defer { remoteWriter.close() }
    // It ends with both directions, or as soon as one fails.
    _ = try await loop.gather({ try await copy(reader, remoteWriter) }, { try await copy(remoteReader, writer) })
  }
  print("forwarding 127.0.0.1:\(server.port) to \(host):\(remotePort)")
  fflush(nil)
  try await loop.withServer(server) { server in try await server.waitClosed() }
}
