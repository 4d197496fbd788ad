// SPDX-License-Identifier: Apache-2.0

/// Runs a test in a simulated network with many seeds, on all cores, until one fails or all have run.
///
/// ```swift
/// try await explore(seeds: 0..<10_000) { network in
///   network.faultRates = .some
///   …
/// }
/// ```
///
/// A seed that fails is run again with fewer and fewer faults, as long as it fails, and then with ever less of it left to the seed.
/// What is thrown has the seed, the faults and choices that it takes, and the test that repeats just that, to be pasted.
///
/// The environment variable `ASYNCIO_SEED` has one seed run in the place of all, and `ASYNCIO_SEEDS` so many, from the first on.
///
/// - Parameters:
///   - seeds: the seeds.
///   - file: where the call is.
///   - line: where the call is.
///   - body: the test. It is run again and again, on several threads at a time, and so must keep nothing from run to run.
/// - Returns: the fingerprint of all runs: the same for the same seeds and the same program.
/// - Throws: ``ExplorationError`` for the least seed that fails of those that were tried; `CancellationError`.
@discardableResult
public func explore(
  seeds: Range<UInt64>, file: StaticString = #fileID, line: UInt = #line,
  _ body: @escaping @Sendable (SimulatedNetwork) async throws -> Void
) async throws -> UInt64 {
  let exploration = Exploration(try Exploration.seeds(seeds), file, line, body)
  try await withThrowingTaskGroup(of: Void.self) { group in
    for _ in 0..<Exploration.workerCount { group.addTask { try await exploration.work() } }
    try await group.waitForAll()
  }
  if let failure = exploration.failure { throw await exploration.shrink(failure) }
  return exploration.fingerprint
}
