// SPDX-License-Identifier: Apache-2.0

/// Runs a test in a simulated network.
///
/// ```swift
/// try await withSimulatedNetwork(seed: 7) { network in
///   let (server, client) = (network.host("server"), network.host("client"))
///   server.start { loop in
///     let server = try await loop.startServer(port: 80) { reader, writer in
///       for try await chunk in reader { try await writer.send(chunk) }
///     }
///     try await server.serveForever()
///   }
///   try await client.run { loop in
///     let (reader, writer) = try await loop.openConnection(host: "server", port: 80)
///     …
///   }
/// }
/// ```
///
/// All loops of the network have their turns on one thread. Which has the next, in which order what is ready at the same time
/// is told, how much a read or a write moves, where a stream's bytes are cut, how long a packet takes: all that is drawn from
/// the seed. Time passes when nothing is ready, as in ``withTestLoop(file:line:_:)``.
///
/// When the test has ended, the programs on the hosts that have not are cancelled and awaited. A test that would wait for ever
/// fails with a ``SimulationError``, and so does one whose programs leave descriptors or timers behind.
///
/// - Parameters:
///   - seed: what all choices are drawn from: the same seed gives the same run.
///   - onlyFaults: the only faults that may happen, by their numbers; nil for all. ``explore(seeds:file:line:_:)`` finds them.
///   - firstChoices: how many choices are drawn from the seed, of the first: whatever is to be chosen later takes its natural
///     course, in order, whole, in the shortest time. Nil for all; ``explore(seeds:file:line:_:)`` finds the number.
///   - file: where the call is.
///   - line: where the call is.
///   - body: the test, which is sent to the thread that runs it.
/// - Returns: what the test returns.
/// - Throws: what the test throws; ``SimulationError``.
public func withSimulatedNetwork<R: Sendable>(
  seed: UInt64, onlyFaults: Set<Int>? = nil, firstChoices: Int? = nil, file: StaticString = #fileID,
  line: UInt = #line,
  _ body: sending @escaping (SimulatedNetwork) async throws -> R
) async throws -> R {
  try await TestRun.onThread {
    let network = try SimulatedNetwork(seed: seed, choiceLimit: firstChoices ?? .max, onlyFaults: onlyFaults)
    return TestRun(network, isStrict: false, file, line) { try await body(network) }
  }
}
