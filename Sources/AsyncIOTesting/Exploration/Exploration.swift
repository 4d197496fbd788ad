// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Synchronization

/// A test that is run with many seeds.
final class Exploration: Sendable {
  struct Failure: Sendable {
    var seed: UInt64
    var error: any Error
    /// The faults that had happened by then.
    var faults: [Int]
    /// How many choices there were by then, or are drawn.
    var choices: Int
  }

  private struct State {
    var next: UInt64
    var failure: Failure?
    var fingerprint: UInt64 = 0
  }

  private let seeds: Range<UInt64>
  private let body: @Sendable (SimulatedNetwork) async throws -> Void
  private let file: StaticString
  private let line: UInt
  private let state: Mutex<State>

  /// How often a failing seed is run again in the hope of fewer faults.
  private static let shrinkLimit = 300

  static var workerCount: Int { max(1, Environment.processorCount) }

  init(
    _ seeds: Range<UInt64>, _ file: StaticString, _ line: UInt,
    _ body: @escaping @Sendable (SimulatedNetwork) async throws -> Void
  ) {
    self.seeds = seeds
    self.file = file
    self.line = line
    self.body = body
    state = Mutex(State(next: seeds.lowerBound))
  }

  /// The seeds that the environment asks for, or else those given.
  static func seeds(_ given: Range<UInt64>) throws -> Range<UInt64> {
    if let text = Environment.value("ASYNCIO_SEED") {
      guard let seed = UInt64(text), seed < .max else {
        throw SimulationError(.failure, "ASYNCIO_SEED is \(text), which is no seed")
      }
      return seed..<seed + 1
    }
    if let text = Environment.value("ASYNCIO_SEEDS") {
      guard let count = UInt64(text), count <= .max - given.lowerBound else {
        throw SimulationError(.failure, "ASYNCIO_SEEDS is \(text), which is no number of seeds")
      }
      return given.lowerBound..<given.lowerBound + count
    }
    return given
  }

  var failure: Failure? { state.withLock { $0.failure } }

  /// The sum of all runs' fingerprints, in which their order does not matter.
  var fingerprint: UInt64 { state.withLock { $0.fingerprint } }

  /// Runs one seed after the other, until there is none, or one has failed.
  func work() async throws {
    while let seed = takeSeed() {
      try Task.checkCancellation()
      let outcome = await run(seed)
      state.withLock { state in
        state.fingerprint &+= outcome.fingerprint
        guard let failure = outcome.failure, failure.seed < state.failure?.seed ?? .max else { return }
        state.failure = failure
      }
    }
  }

  private func takeSeed() -> UInt64? {
    state.withLock { state in
      // Lower seeds than the one that failed are tried all the same: so the answer does not depend on who was faster.
      guard state.next < seeds.upperBound, state.next < state.failure?.seed ?? .max else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  private func run(
    _ seed: UInt64, only: Set<Int>? = nil, choices: Int = .max
  ) async -> (fingerprint: UInt64, failure: Failure?) {
    let trail = Trail()
    var failure: (any Error)?
    do {
      let body = body
      try await TestRun<Void>.onThread {
        let network = try SimulatedNetwork(seed: seed, choiceLimit: choices, onlyFaults: only)
        network.onEnd = { trail.record($0) }
        return TestRun(network, isStrict: false, file, line) { try await body(network) }
      }
    } catch {
      failure = error
    }
    let record = trail.recorded
    return (
      record.fingerprint,
      failure.map {
        Failure(seed: seed, error: $0, faults: record.faults, choices: min(choices, record.choiceCount))
      }
    )
  }

  // MARK: Shrinking

  /// Runs a failing seed again with ever fewer faults, and then with ever fewer choices, and keeps what still fails.
  func shrink(_ failure: Failure) async -> ExplorationError {
    let least = await shrinkChoices(of: await shrinkFaults(of: failure))
    return ExplorationError(least, from: failure, file, line)
  }

  /// Has ever more of a run take its natural course from its end on. It may fail with fewer choices and not with more; what is
  /// found is a number with which it fails, and hardly ever the least.
  private func shrinkChoices(of failure: Failure) async -> Failure {
    var least = failure
    var tooFew = -1
    while least.choices - tooFew > 1 {
      // The first try is the natural course altogether.
      let middle = tooFew < 0 ? 0 : (tooFew + least.choices) / 2
      let again = await run(failure.seed, only: Set(least.faults), choices: middle).failure
      guard let again else {
        tooFew = middle
        continue
      }
      least = Failure(
        seed: failure.seed, error: again.error, faults: least.faults.filter(again.faults.contains), choices: middle)
    }
    return least
  }

  private func shrinkFaults(of failure: Failure) async -> Failure {
    var least = failure
    var runs = 0
    func fails(_ faults: [Int]) async -> Bool {
      runs += 1
      guard runs <= Exploration.shrinkLimit, let again = await run(failure.seed, only: Set(faults)).failure else {
        return false
      }
      least = Failure(
        seed: failure.seed, error: again.error, faults: faults.filter(again.faults.contains), choices: again.choices)
      return true
    }
    // Half of them at a time, then less and less, down to single ones.
    var size = max(1, least.faults.count / 2)
    while !least.faults.isEmpty, runs < Exploration.shrinkLimit {
      var start = 0
      var wasSmaller = false
      while start < least.faults.count {
        var rest = least.faults
        rest.removeSubrange(start..<min(start + size, rest.count))
        if await fails(rest) { wasSmaller = true } else { start += size }
      }
      if size == 1, !wasSmaller { break }
      size = max(1, size / 2)
    }
    return least
  }
}

/// What a run leaves for the thread that had it run.
private final class Trail: Sendable {
  private let content = Mutex(RunRecord())

  func record(_ record: RunRecord) { content.withLock { $0 = record } }

  var recorded: RunRecord { content.withLock { $0 } }
}
