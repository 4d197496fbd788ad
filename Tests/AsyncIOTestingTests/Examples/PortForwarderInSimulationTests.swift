// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@testable import port_forwarder

/// The port forwarder of the examples, as it is, between hosts in memory.
@Suite struct PortForwarderInSimulationTests {
  @Test("What goes through it arrives whole, both ways, whatever it is cut into; an end of one side is passed on")
  func bothWays() async throws {
    try await explore(seeds: 0..<40) { network in
      let (desk, far) = hosts(network)
      try await desk.run { loop in
        try await loop.sleep(for: .milliseconds(1))
        for size in [0, 1, 30_000] {
          let answer = try await loop.exchange(pattern(size), with: "127.0.0.1", port: 8080)
          guard answer == pattern(size).reversed() else {
            throw Violation(description: "\(answer.count) of \(size) bytes")
          }
        }
      }
      if !(desk.reportedErrors + far.reportedErrors).isEmpty {
        throw Violation(description: "\(desk.reportedErrors.map(\.description))")
      }
    }
  }

  @Test("A way that is cut or reset costs the connections on it and no others, and nothing waits for ever")
  func badNetwork() async throws {
    try await explore(seeds: 0..<40) { network in
      let (desk, far) = hosts(network)
      network.faultRates = FaultRates(resets: 0.01)
      let visits = (0..<4).map { number in
        desk.start { loop in
          try await loop.sleep(for: .milliseconds(1 + number * 10))
          let sent = pattern(10_000)
          let answer = try? await loop.withTimeout(.seconds(2000)) {
            try await loop.exchange(sent, with: "127.0.0.1", port: 8080)
          }
          // The other end's answer begins with the last byte, so that one that is cut short is a beginning all the same.
          guard sent.reversed().starts(with: answer ?? []) else {
            throw Violation(description: "other bytes came back")
          }
        }
      }
      try await network.loop.sleep(for: .milliseconds(network.choose(100)))
      if network.choose(2) == 0 {
        network.partition(desk, far)
      } else {
        network.resetConnections(between: desk, and: far)
      }
      try await network.loop.sleep(for: .seconds(network.choose(100)))
      network.heal()
      for visit in visits { try await visit.value }
      network.faultRates = .none
      try await desk.run { loop in
        let answer = try await loop.exchange(pattern(100), with: "127.0.0.1", port: 8080)
        guard answer == pattern(100).reversed() else { throw Violation(description: "when all is well it is not") }
      }
    }
  }

  @Test("A host that does not answer is waited for ten seconds, and then the client is let go")
  func silence() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (desk, far) = hosts(network)
      network.partition(desk, far)
      try await desk.run { loop in
        try await loop.sleep(for: .milliseconds(1))
        let begin = loop.time
        let peer = try await loop.connectPeer(host: "127.0.0.1", port: 8080)
        try await peer.expectEnd()
        let taken = begin.duration(to: loop.time)
        #expect(taken >= .seconds(10) && taken < .seconds(10.1), "\(taken)")
        peer.close()
      }
      #expect(desk.reportedErrors.count == 1 && desk.reportedErrors[0].error is TimeoutError)
    }
  }
}

/// A desk with the forwarder, and a host with a server that answers with all bytes in reverse.
private func hosts(_ network: SimulatedNetwork) -> (desk: SimulatedHost, far: SimulatedHost) {
  let (desk, far) = (network.host("desk"), network.host("far"))
  network.conditions = LinkConditions(latency: .milliseconds(1) ... .milliseconds(30))
  desk.start { loop in
    let server = try await startForwarder(loop, port: 8080, to: "far", 7)
    try await server.serveForever()
  }
  far.start { loop in
    let server = try await loop.startServer(port: 7) { reader, writer in
      try await writer.send(Array(try await reader.read().reversed()))
    }
    try await server.serveForever()
  }
  return (desk, far)
}
