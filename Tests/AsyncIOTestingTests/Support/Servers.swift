// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting

extension SimulatedHost {
  /// Serves connections by sending back what arrives, until the test is over.
  func startEchoServer(port: Int = 7) {
    start { loop in
      let server = try await loop.startServer(port: port) { reader, writer in
        for try await chunk in reader { try await writer.send(chunk) }
      }
      try await server.serveForever()
    }
  }
}

/// Runs a test on the loop of a client, in a network with an echo server, which listens by then.
func withEchoServer(
  _ body:
    sending @escaping (SimulatedNetwork, _ server: SimulatedHost, _ client: SimulatedHost, EventLoop) async throws
    -> Void
) async throws {
  try await withSimulatedNetwork(seed: 1) { network in
    let (server, client) = (network.host("server"), network.host("client"))
    server.startEchoServer()
    try await client.run { loop in
      try await loop.sleep(for: .seconds(1))
      try await body(network, server, client, loop)
    }
  }
}

extension EventLoop {
  /// Sends bytes to an echo server, and returns what comes back until the server's end.
  func exchange(_ bytes: [UInt8], with host: String, port: Int = 7) async throws -> [UInt8] {
    let (reader, writer) = try await openConnection(host: host, port: port)
    let sender = createTask {
      try await writer.send(bytes)
      writer.writeEOF()
    }
    let answer = try await reader.read(-1)
    try await sender.value
    writer.close()
    try await writer.waitClosed()
    return answer
  }
}
