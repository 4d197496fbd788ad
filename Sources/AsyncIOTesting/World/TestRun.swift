// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// One run of a test in a world of its own.
///
/// It is made where the test was called, so that the test's task inherits what is local to the caller's, such as which test of
/// Swift Testing's it is. Then it is sent to the thread on which the world runs.
final class TestRun<R> {
  let network: SimulatedNetwork
  /// Whether tasks and timers that the program has left are an error. Else they are cancelled, as `EventLoop.run` does.
  private let isStrict: Bool
  private let task: LoopTask<R>

  /// How long what was cancelled may take to end, on the world's clock.
  private static var graceLimit: Int64 { 3_600_000_000_000 }

  private var world: World { network.world }
  private var hosts: [SimulatedHost] { [network.director] + network.hosts }

  /// Has the test's task made, on the loop of the network's director.
  init(
    _ network: SimulatedNetwork, isStrict: Bool, _ file: StaticString, _ line: UInt,
    _ body: @escaping () async throws -> R
  ) {
    self.network = network
    self.isStrict = isStrict
    task = network.director.start(name: "the test", file: file, line: line) { _ in try await body() }
  }

  /// Runs the test, on the calling thread, to its end and to the end of all that it has begun.
  ///
  /// - Parameter onStart: handed what cancels the test, from any thread.
  /// - Throws: what the test throws; ``SimulationError``.
  func run(onStart: (@escaping @Sendable () -> Void) -> Void = { _ in }) throws -> R {
    StandardClocks.show(world.now)
    defer {
      end()
      StandardClocks.showRealTime()
    }
    let remote = task.remote
    onStart { remote.cancel() }
    do {
      try world.run { task.isDone }
      guard let result = task.result else { throw SimulationError(.failure, "the test has no result") }
      let value = try result.get()
      try settle()
      return value
    } catch {
      // Whatever happens on the way out is no news beside that.
      cancelAll()
      try? awaitEnd()
      throw error
    }
  }

  /// Lets what is under way come to an end, and looks at what is left.
  private func settle() throws {
    if isStrict {
      try world.run(through: world.now)
      try Leftovers(hosts).check()
    }
    cancelAll()
    try awaitEnd()
    try Leftovers(hosts).check()
  }

  private func cancelAll() {
    for host in hosts where host.isUp {
      // What stands still could not come to its end.
      host.goOn()
      for state in host.loop.taskStates { state.task.cancel() }
    }
  }

  /// Lets time pass until nothing is left. A task may begin others on its way out, which are cancelled as well.
  private func awaitEnd() throws {
    let limit = world.now + TestRun.graceLimit
    while taskCount > 0 {
      let wasLeft = taskCount
      try world.run(through: limit) { taskCount != wasLeft }
      if taskCount == wasLeft { break }
      cancelAll()
    }
    try world.run(through: limit) { !Leftovers.exist(on: hosts) }
  }

  private var taskCount: Int { hosts.reduce(0) { $0 + ($1.isUp ? $1.loop.taskCount : 0) } }

  private func end() {
    network.onEnd?(
      RunRecord(
        fingerprint: network.fingerprint, faults: network.faults.happened, choiceCount: world.choices.count))
    for host in hosts { host.end() }
    world.end()
  }
}

extension TestRun where R: Sendable {
  /// Runs the test on a thread of its own, and awaits its end. Cancelling the caller cancels the test.
  ///
  /// - Parameter prepare: makes the run, in the caller's task.
  static func onThread(_ prepare: () throws -> TestRun<R>) async throws -> R {
    // All that it refers to was made or sent for it, and nobody else has it.
    let run = LoopBound(try prepare())
    return try await EventLoop.onThreadOfItsOwn { onStart in try run.value.run(onStart: onStart) }
  }
}
