// SPDX-License-Identifier: Apache-2.0
// growth-bench: what one callback, timer or task costs among few and among a hundred times as many, in ns; and how long the
// longest iteration takes in which many connections are closed. Every figure is the median of the rounds.
import ArgumentParser
import AsyncIO
import Measuring

@main
struct Growth: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "growth-bench")

  @Option(help: "The smaller number of callbacks, timers and tasks; the larger one is a hundred times that.")
  var few = 1000
  @Option(help: "Connections that are closed at once.")
  var connections = 5000
  @Option(help: "Rounds.")
  var rounds = 5

  func run() throws {
    var figures = Figures()
    for _ in 0..<rounds {
      for (label, number) in [("few", few), ("many", 100 * few)] {
        figures.add("callback_\(label)_ns", try callbacks(number).cpu)
        figures.add("timer_\(label)_ns", try timers(number).cpu)
        figures.add("task_\(label)_ns", try tasks(number).cpu)
        figures.add("await_\(label)_ns", try awaits(number).cpu)
      }
      figures.add("close_tick_ms", try ClosedConnections.longestTick(connections))
    }
    print("few=\(few) connections=\(connections) " + figures.line)
  }

  /// So many operations that the smaller number is measured as long as the larger one.
  private func repeated(_ number: Int, _ body: () throws -> Void) rethrows -> Spent {
    let times = 200 * few / number
    let start = Spent.now
    for _ in 0..<times { try body() }
    return start.perOperation(times * number)
  }

  /// So many callbacks, all scheduled before the first runs.
  private func callbacks(_ number: Int) throws -> Spent {
    let loop = try EventLoop()
    defer { loop.close() }
    let counter = Counter()
    return try repeated(number) {
      for _ in 0..<number { loop.callSoon { counter.value += 1 } }
      loop.stop()
      try loop.runForever()
    }
  }

  /// So many timers, all pending before the first is due, and then run.
  private func timers(_ number: Int) throws -> Spent {
    let loop = try EventLoop()
    defer { loop.close() }
    let counter = Counter()
    return try repeated(number) {
      let due = loop.time
      for index in 0..<number {
        // In no order: 7919 is a prime.
        loop.callAt(due.advanced(by: .nanoseconds(index * 7919 % number))) { counter.value += 1 }
      }
      let expected = counter.value + number
      repeat {
        loop.stop()
        try loop.runForever()
      } while counter.value < expected
    }
  }

  /// So many tasks that live at once: each is started, sleeps once and ends.
  private func tasks(_ number: Int) throws -> Spent {
    let loop = try EventLoop()
    defer { loop.close() }
    return try repeated(number) {
      try loop.runUntilComplete {
        let tasks = (0..<number).map { _ in loop.createTask { try await loop.sleep(for: .zero) } }
        for task in tasks { try await task.value }
      }
    }
  }

  /// A task that is made and awaited while so many others sleep.
  private func awaits(_ number: Int) throws -> Spent {
    let loop = try EventLoop()
    defer { loop.close() }
    let operations = 200 * few
    return try loop.runUntilComplete {
      let sleepers = (0..<number).map { _ in loop.createTask { try await loop.sleep(for: .seconds(3600)) } }
      try await loop.sleep(for: .zero)
      let start = Spent.now
      for _ in 0..<operations { _ = try await loop.createTask { 1 }.value }
      let spent = start.perOperation(operations)
      for sleeper in sleepers { sleeper.cancel() }
      for sleeper in sleepers { _ = await sleeper.outcome }
      return spent
    }
  }
}
