// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Testing

@Suite struct ShrinkingTests {
  @Test("Of the faults that had happened only those are left that it takes")
  func shrinking() async throws {
    let error = await #expect(throws: ExplorationError.self) {
      try await explore(seeds: 0..<50) { network in
        network.faultRates = FaultRates(failedLookUps: 0.3)
        _ = network.host("server")
        let failures = try await network.host("client").run { loop in
          var failures = 0
          for _ in 0..<40 {
            do { _ = try await loop.getaddrinfo(host: "server") } catch { failures += 1 }
          }
          return failures
        }
        if failures >= 3 { throw TooMany() }
      }
    }
    #expect(error?.seed == 0)
    #expect(error?.error is TooMany)
    #expect(error?.faults.count == 3)
    #expect((error?.faultCount ?? 0) > 3)
    let text = error?.description ?? ""
    #expect(text.contains("It takes 3 of the"))
    #expect(text.contains("onlyFaults: [\(error?.faults.map(String.init).joined(separator: ", ") ?? "")]"))
  }

  @Test("Of the choices only so many of the first are drawn as it takes, and the test that is printed fails as well")
  func choices() async throws {
    let error = try #require(
      await #expect(throws: ExplorationError.self) {
        try await explore(seeds: 0..<2000) { network in try await afterwards(network, haste) }
      })
    #expect(error.choices > 0 && error.choices < error.choiceCount / 2, "\(error.choices) of \(error.choiceCount)")
    #expect(error.description.contains("It takes the first \(error.choices) of \(error.choiceCount) choices."))
    let call = "withSimulatedNetwork(seed: \(error.seed), firstChoices: \(error.choices)) { network in"
    #expect(error.reproduction.contains(call))
    await #expect(throws: TooSlow.self) {
      try await withSimulatedNetwork(seed: error.seed, firstChoices: error.choices) { network in
        try await afterwards(network, haste)
      }
    }
    // With one less it is another run, which goes well.
    try await withSimulatedNetwork(seed: error.seed, firstChoices: error.choices - 1) { network in
      try await afterwards(network, haste)
    }
  }

  @Test("What fails whatever is chosen takes none of the choices")
  func noChoices() async throws {
    let error = await #expect(throws: ExplorationError.self) {
      try await explore(seeds: 0..<10) { network in
        try await afterwards(network) { _ in }
        throw TooMany()
      }
    }
    #expect(error?.choices == 0)
    #expect(error?.description.contains("It takes none of the \(error?.choiceCount ?? 0) choices.") == true)
    #expect(error?.reproduction.contains("firstChoices: 0)") == true)
  }

  @Test(
    "Without choices everything takes its natural course: whole, in order, in the shortest time; the test's own stay")
  func naturalCourse() async throws {
    func run(_ seed: UInt64) async throws -> (Int, Duration, UInt64) {
      try await withSimulatedNetwork(seed: seed, firstChoices: 0) { network in
        let (server, client) = (network.host("server"), network.host("client"))
        network.conditions = LinkConditions(latency: .milliseconds(5) ... .milliseconds(50))
        server.startEchoServer()
        return try await client.run { loop in
          try await loop.sleep(for: .seconds(1))
          let begin = loop.time
          let peer = try await loop.connectPeer(host: "server", port: 7)
          try await peer.send([UInt8](repeating: 1, count: 10_000))
          let first = try await peer.receive()
          peer.close()
          return (first.count, begin.duration(to: loop.time), network.generator.next())
        }
      }
    }
    let (one, other) = (try await run(1), try await run(2))
    #expect(one.0 == 10_000 && one.1 == .milliseconds(20))
    #expect(one.0 == other.0 && one.1 == other.1)
    #expect(one.2 != other.2, "what the test draws depends on its seed alone")
  }

  private struct TooMany: Error {}
}

private struct TooSlow: Error {}

/// Fails when a few packets take long.
private func haste(_ network: SimulatedNetwork) async throws {
  let (server, client) = (network.host("server"), network.host("client"))
  server.startEchoServer()
  try await client.run { loop in
    try await loop.sleep(for: .seconds(1))
    let begin = loop.time
    _ = try await loop.exchange([1], with: "server")
    // Four ways, of which the fastest takes 50 and the slowest 500 microseconds.
    if begin.duration(to: loop.time) > .microseconds(1500) { throw TooSlow() }
  }
}

/// Does something, and then a lot of which nothing depends on the choices.
private func afterwards(
  _ network: SimulatedNetwork, _ first: (SimulatedNetwork) async throws -> Void
) async throws {
  let (server, client) = (network.host("echo"), network.host("asker"))
  server.startEchoServer(port: 9)
  var failure: (any Error)?
  do { try await first(network) } catch { failure = error }
  try await client.run { loop in
    for _ in 0..<20 { _ = try await loop.exchange([1, 2, 3], with: "echo", port: 9) }
  }
  if let failure { throw failure }
}
