// SPDX-License-Identifier: Apache-2.0
import struct AsyncIOTesting.SeededGenerator
import Foundation
import Testing

@testable import AsyncIO

/// A random walk over an object of a loop, step by step beside a model of it.
///
/// `ASYNCIO_WALK_STEPS` says how many steps a walk has in all, for a longer look now and then.
final class Walk<Value: Equatable> {
  /// What a call under way comes to, as the model has it.
  enum Outcome: Equatable {
    case waits, cancelled
    case value(Value)
    case error(EventLoopError.Code)
  }

  /// A call under way, in a task of its own.
  final class Call {
    fileprivate(set) var task: LoopTask<Value>!
    var expected = Outcome.waits
    /// Whether its task was told to end.
    fileprivate(set) var isCancelled = false
    /// Whether its task has begun.
    fileprivate(set) var hasBegun = false
    fileprivate let begin: (Call) -> Void

    fileprivate init(_ begin: @escaping (Call) -> Void) { self.begin = begin }

    fileprivate var actual: Outcome {
      switch task.result {
      case nil: .waits
      case .success(let value): .value(value)
      case .failure(let error as EventLoopError): .error(error.code)
      case .failure: .cancelled
      }
    }
  }

  let loop: EventLoop
  let seed: UInt64
  var random: SeededGenerator
  private(set) var calls: [Call] = []
  private(set) var number = 0
  /// What the loop has still to do, as the model has it: calls to begin, woken tasks to go on.
  private var ready: [() -> Void] = []
  /// Told of the cancellation of a call that has begun.
  var onCancel: (Call) -> Void = { _ in }
  private(set) var cancellations = 0

  init(_ loop: EventLoop, _ seed: UInt64) {
    self.loop = loop
    self.seed = seed
    random = SeededGenerator(seed: seed)
  }

  func chance(of one: Int) -> Bool { Int.random(in: 0..<one, using: &random) == 0 }

  func number(below limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }

  /// Calls, at once or as the first thing that a task does in the next iteration.
  ///
  /// - Parameters:
  ///   - body: the call.
  ///   - begin: what the model makes of it when it begins.
  func call(_ body: @escaping () async throws -> Value, _ begin: @escaping (Call) -> Void) {
    let call = Call(begin)
    let isEager = !chance(of: 4)
    call.task = loop.createTask(eager: isEager, body)
    calls.append(call)
    let start = {
      call.hasBegun = true
      call.begin(call)
    }
    if isEager { start() } else { ready.append(start) }
  }

  /// What the model expects to happen when the loop gets to it.
  func later(_ event: @escaping () -> Void) { ready.append(event) }

  /// Cancels one call, whatever it is about.
  func cancelOne() {
    guard let call = calls.randomElement(using: &random), !call.isCancelled else { return }
    cancellations += 1
    call.isCancelled = true
    call.task.cancel()
    if call.hasBegun { onCancel(call) }
  }

  /// Lets the loop do what it has to, and holds every call against the model.
  func settle() async throws {
    while !ready.isEmpty {
      let batch = ready
      ready.removeAll()
      for event in batch { event() }
      try await loop.turn(1)
    }
    try await loop.turn(1)
    for call in calls where call.actual != call.expected {
      Issue.record("seed \(seed), step \(number): \(call.actual) rather than \(call.expected)")
      throw WalkFailed()
    }
    calls.removeAll { $0.expected != .waits }
  }

  /// Takes steps, and settles now and then, so that several happen in one tick as a rule.
  func run(_ step: () -> Void, check: () -> String?) async throws {
    for _ in 0..<WalkLength.stepsPerSeed {
      number += 1
      if chance(of: 12) { cancelOne() } else { step() }
      if chance(of: 3) { try await settle() }
      if let difference = check() {
        Issue.record("seed \(seed), step \(number): \(difference)")
        throw WalkFailed()
      }
    }
    for call in calls where !call.isCancelled {
      call.isCancelled = true
      call.task.cancel()
      if call.hasBegun { onCancel(call) }
    }
    #expect(cancellations > WalkLength.stepsPerSeed / 100, "seed \(seed)")
  }
}

extension Walk {
  /// Calls that wait in order, of which one that is cancelled leaves.
  final class Line {
    var calls: [Call] = []

    /// The call's turn has not come: it waits, or where it was cancelled before, it does not.
    func wait(_ call: Call) {
      if call.isCancelled { call.expected = .cancelled } else { calls.append(call) }
    }

    /// The first call's turn has come; false when there is none.
    func admitFirst(_ value: Value) -> Bool {
      if calls.isEmpty { return false }
      calls.removeFirst().expected = .value(value)
      return true
    }

    /// All calls come to this.
    func end(_ outcome: Outcome) {
      for call in calls { call.expected = outcome }
      calls.removeAll()
    }
  }

  /// The one line that the calls of this walk wait in.
  func line() -> Line {
    let line = Line()
    onCancel = { call in
      guard let place = line.calls.firstIndex(where: { $0 === call }) else { return }
      line.calls.remove(at: place)
      call.expected = .cancelled
    }
    return line
  }
}

struct WalkFailed: Error {}

enum WalkLength {
  static let seeds: Range<UInt64> = 0..<4
  static let stepsPerSeed: Int = {
    let all = ProcessInfo.processInfo.environment["ASYNCIO_WALK_STEPS"].flatMap { Int($0) } ?? 10_000
    return max(1, all / seeds.count)
  }()

  /// A long walk may take longer than other tests.
  static let limits = Watchdog.Limits(
    failure: max(.seconds(60), .milliseconds(stepsPerSeed)), end: max(.seconds(120), .milliseconds(2 * stepsPerSeed)))
}
