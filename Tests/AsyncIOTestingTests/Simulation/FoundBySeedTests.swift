// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

/// What the simulation has found, each as a test of its own.
@Suite struct FoundBySeedTests {
  /// Writes more than the kernels hold, reads nothing, and closes.
  private final class Stuffer: StreamProtocol {
    private(set) var isLost = false
    private(set) var received = 0

    func connectionMade(_ transport: StreamTransport) {
      transport.pauseReading()
      transport.write(pattern(300_000))
      transport.close()
    }

    func dataReceived(_ data: Span<UInt8>) { received += data.count }
    func connectionLost(_ error: (any Error)?) { isLost = true }
  }

  @Test("Both ends close with more unsent than fits: each takes what the other has, and both get to their end")
  func closingBothEnds() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      for host in network.hosts { host.socketBufferSize = 10_000 }
      let ends = (Stuffer(), Stuffer())
      try await server.run { loop in
        let server = try await loop.createServer({ ends.0 }, port: 7)
        loop.callLater(.seconds(60)) { server.close() }
      }
      try await client.run { loop in
        _ = try await loop.createConnection({ ends.1 }, host: "server", port: 7)
        try await loop.sleep(for: .seconds(60))
      }
      #expect(ends.0.isLost && ends.1.isLost)
      #expect(ends.0.received == 0 && ends.1.received == 0, "what comes after a close is nobody's")
    }
  }
}
