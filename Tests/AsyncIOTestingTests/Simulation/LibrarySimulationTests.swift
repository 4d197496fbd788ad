// SPDX-License-Identifier: Apache-2.0
import AsyncIOTesting
import Testing

/// The library's own simulation. `ASYNCIO_SEEDS=1000000 swift test -c release --filter LibrarySimulationTests` runs more of it.
@Suite struct LibrarySimulationTests {
  @Test("Whatever the network and the kernels do, the library keeps what it promises")
  func simulation() async throws {
    try await explore(seeds: 0..<300) { network in try await LibrarySimulation(network).run() }
  }
}
