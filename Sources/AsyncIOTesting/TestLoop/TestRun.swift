// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// One run of a program in a world of its own, on the calling thread.
struct TestRun {
  let network: SimulatedNetwork
  /// Whether tasks and timers that the program has left are an error. Else they are cancelled, as `EventLoop.run` does.
  var isStrict: Bool
  /// Where the test is.
  let file: StaticString
  let line: UInt
  /// How long what was cancelled may take to end, on the world's clock.
  static let graceLimit: Int64 = 3_600_000_000_000

  private var world: World { network.world }
  private var allHosts: [SimulatedHost] { [network.director] + network.hosts }

  /// Runs the program as a task of the network's director, to its end and to the end of all that it has begun.
  ///
  /// - Parameters:
  ///   - onStart: handed what cancels the program, from any thread.
  ///   - body: the program.
  /// - Throws: what the program throws; ``SimulationError``.
  func run<R>(
    onStart: (@escaping @Sendable () -> Void) -> Void = { _ in },
    _ body: @escaping (EventLoop) async throws -> R
  ) throws -> R {
    defer { end() }
    let task = network.director.start(name: "the test", file: file, line: line, body)
    let remote = task.remote
    onStart { remote.cancel() }
    do {
      try world.run { task.isDone }
      guard let result = task.result else { throw SimulationError(.failure, "the program has no result") }
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
    try world.run(through: world.now)
    if isStrict { try Leftovers(allHosts, countsTasks: true).check() }
    cancelAll()
    try awaitEnd()
    try Leftovers(allHosts, countsTasks: true).check()
  }

  private func cancelAll() {
    for host in allHosts where host.isUp {
      for state in host.loop.taskStates { state.task.cancel() }
    }
  }

  /// Lets time pass until nothing is left. A task may begin others on its way out, which are cancelled as well.
  private func awaitEnd() throws {
    let limit = world.now + TestRun.graceLimit
    while Leftovers(allHosts, countsTasks: true).isAny {
      let wasLeft = tasksLeft
      try world.run(through: limit) { tasksLeft == 0 || tasksLeft != wasLeft }
      if world.now >= limit || tasksLeft == wasLeft { break }
      cancelAll()
    }
    try world.run(through: limit) { !Leftovers(allHosts, countsTasks: true).isAny }
  }

  private var tasksLeft: Int { allHosts.reduce(0) { $0 + ($1.isUp ? $1.loop.taskStates.count : 0) } }

  private func end() {
    for host in allHosts { host.end() }
    world.end()
  }
}

/// What is left on hosts whose programs have ended.
struct Leftovers {
  private(set) var lines: [String] = []

  init(_ hosts: [SimulatedHost], countsTasks: Bool) {
    for host in hosts where host.isUp {
      let suffix = hosts.count > 1 ? " on \(host.name)" : ""
      if countsTasks {
        for state in host.loop.taskStates { lines.append("\(state.line)\(suffix)") }
      }
      for timer in host.loop.timerStates where !timer.isTaskSleep {
        let place = timer.callSite.map { "set at \($0)" } ?? "set where debug mode would tell"
        lines.append("a timer for \(Duration.nanoseconds(timer.deadline.nanoseconds)), \(place)\(suffix)")
      }
      for (number, file) in host.kernel?.openFiles ?? [] {
        lines.append("\(file.label), descriptor \(number)\(suffix)")
      }
    }
  }

  var isAny: Bool { !lines.isEmpty }

  func check() throws {
    guard isAny else { return }
    throw SimulationError(
      .leftovers, "the program has ended, and has left behind:\n  " + lines.joined(separator: "\n  "))
  }
}
