// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@testable import http_server

/// The HTTP server of the examples, as it is, on a host in memory.
@Suite struct HTTPServerInSimulationTests {
  @Test("Requests in a row are answered one by one, wherever the network cuts them")
  func pieces() async throws {
    try await explore(seeds: 0..<60) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      for host in network.hosts { host.socketBufferSize = 1 + network.choose(200) }
      server.start { loop in
        let clock = HTTPDate(loop)
        let server = try await loop.startServer(port: 80) { try await HTTPServer.serve($0, $1, clock) }
        try await server.serveForever()
      }
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(1))
        let requests =
          "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
          + "GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
        let answer = try await loop.exchange(Array(requests.utf8), with: "server", port: 80)
        let text = String(decoding: answer, as: UTF8.self)
        let answers = text.split(separator: "HTTP/1.1 200 OK\r\n")
        guard answers.count == 3, text.hasPrefix("HTTP/") else { throw Violation(description: text) }
      }
    }
  }
}
