// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@testable import graceful_server

/// The graceful server of the examples, as it is, and the signals that end it.
@Suite struct GracefulServerInSimulationTests {
  /// What the server has said.
  private final class Said { var lines: [String] = [] }

  @discardableResult
  private static func serve(on host: SimulatedHost, _ said: Said, grace: Duration = .seconds(5)) -> LoopTask<Void> {
    host.start { loop in
      try await graceful_server.serve(loop, host: "0.0.0.0", port: 80, gracePeriod: grace) { said.lines.append($0) }
    }
  }

  @Test("SIGTERM: what is under way is answered, who waits is let go, the rest is cut off after the time for that")
  func terminate() async throws {
    try await explore(seeds: 0..<40) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      let said = Said()
      Self.serve(on: server, said)
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(10))
        let idle = try await loop.connectPeer(host: "server", port: 80)
        let quick = try await loop.connectPeer(host: "server", port: 80)
        let slow = try await loop.connectPeer(host: "server", port: 80)
        try await quick.send("GET /3 HTTP/1.1\r\n\r\n", inPiecesOf: 5)
        try await slow.send("GET /3000 HTTP/1.1\r\n\r\n")
        try await loop.sleep(for: .seconds(1))
        let begin = loop.time
        server.raise(.terminate)
        try await idle.expectEnd()
        try await quick.expect(
          "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\ndone after 3 s\n")
        try await quick.expectEnd()
        try await slow.expectEnd()
        let taken = begin.duration(to: loop.time)
        guard taken >= .seconds(5), taken < .seconds(5.1) else { throw Violation(description: "it took \(taken)") }
        for peer in [idle, quick, slow] { peer.close() }
        // The process is over, and the host is not: it refuses.
        do {
          _ = try await loop.connectPeer(host: "server", port: 80)
          throw Violation(description: "it serves on")
        } catch let error as IOError {
          guard error.code == .connectionRefused else { throw error }
        }
      }
      let expected = ["serving on http://0.0.0.0:80/", "ending: 2 under way", "1 answered, 1 cut off"]
      guard said.lines == expected else { throw Violation(description: "\(said.lines)") }
    }
  }

  @Test("A second signal ends it at once, and a new process serves in its place")
  func impatience() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      let said = Said()
      Self.serve(on: server, said, grace: .seconds(3000))
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(10))
        let slow = try await loop.connectPeer(host: "server", port: 80)
        try await slow.send("GET /3000 HTTP/1.1\r\n\r\n")
        try await loop.sleep(for: .seconds(1))
        let begin = loop.time
        server.raise(.interrupt)
        try await loop.sleep(for: .seconds(1))
        server.raise(.terminate)
        try await slow.expectEnd()
        #expect(begin.duration(to: loop.time) < .seconds(1.1))
        #expect(said.lines.last == "ending: 1 under way")
        slow.close()
        Self.serve(on: server, said)
        try await loop.sleep(for: .milliseconds(10))
        let next = try await loop.connectPeer(host: "server", port: 80)
        try await next.send("GET /0 HTTP/1.1\r\n\r\n")
        try await next.expect("HTTP/1.1 200 OK\r\n")
        next.close()
      }
    }
  }

  @Test("Whatever the network does, the server has ended by the time that it gives its clients")
  func badNetwork() async throws {
    try await explore(seeds: 0..<40) { network in
      let server = network.host("server")
      let clients = (0..<3).map { network.host("client\($0)") }
      network.conditions = LinkConditions(latency: .milliseconds(1) ... .milliseconds(30))
      network.faultRates = FaultRates(resets: 0.01)
      let serving = Self.serve(on: server, Said())
      for client in clients {
        client.start { loop in
          while true {
            try await loop.sleep(for: .milliseconds(50))
            _ = try? await loop.withTimeout(.seconds(20)) {
              let (reader, writer) = try await loop.openConnection(host: "server", port: 80)
              defer { writer.close() }
              try await writer.send("GET /\(network.choose(8)) HTTP/1.1\r\n\r\n")
              _ = try await reader.readUntil(Array("done after".utf8))
            }
          }
        }
      }
      try await network.loop.sleep(for: .milliseconds(network.choose(5000)))
      network.partition(server, clients[0])
      let begin = network.time
      server.raise(.terminate)
      _ = await serving.outcome
      let taken = network.time - begin
      guard taken < .seconds(5.2) else { throw Violation(description: "it took \(taken)") }
      network.heal()
    }
  }
}
