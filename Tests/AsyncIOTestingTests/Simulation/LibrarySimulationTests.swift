// SPDX-License-Identifier: Apache-2.0
import AsyncIOTesting
import SimulationFixtures
import Testing

/// The library's own simulation. `swift run -c release simulate 1000000` runs more of it.
@Suite struct LibrarySimulationTests {
  @Test("Whatever the network and the kernels do, the library keeps what it promises")
  func simulation() async throws {
    try await explore(seeds: 0..<100) { network in try await LibrarySimulation(network).run() }
  }

  @Test("The same seeds give the same runs, of whatever the library does")
  func determinism() async throws {
    func fingerprint(_ seed: UInt64) async throws -> UInt64 {
      try await withSimulatedNetwork(seed: seed) { network in
        try await LibrarySimulation(network).run()
        return network.fingerprint
      }
    }
    for seed in 0..<15 as Range<UInt64> {
      let first = try await fingerprint(seed)
      let second = try await fingerprint(seed)
      #expect(first == second, "seed \(seed)")
    }
  }
}
