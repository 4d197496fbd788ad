// SPDX-License-Identifier: Apache-2.0
// callsoon-bench: what callbacks, timers, calls from another thread and tasks cost, in ns per operation. Every figure is
// the median of the rounds. nio-execute and uv-timers measure the like.
import ArgumentParser
import AsyncIO
import Dispatch
import Measuring

@main
struct CallSoon: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "callsoon-bench")

  @Option(help: "Timers that are pending.")
  var timers = 300_000
  @Option(help: "Callbacks, timers and tasks in a round.")
  var operations = 1_000_000
  @Option(help: "Calls from another thread in a round.")
  var sends = 1_000_000
  @Option(help: "Rounds.")
  var rounds = 5

  /// How many callbacks are scheduled before the loop gets to run them.
  static let batch = 1000

  func run() throws {
    var figures = Figures()
    for _ in 0..<rounds {
      // Nothing is adopted: Swift's own default executor is one of those measured.
      let loop = try EventLoop()
      figures.add("call_soon_ns", try callSoon(loop).wall)
      figures.add("timer_add_cancel_ns", try timersCancelled(loop).wall)
      let fired = try timersFired(loop)
      figures.add("timer_add_fire_ns", fired.wall)
      figures.add("timer_add_fire_cpu_ns", fired.cpu)
      let called = try callsFromAnotherThread(loop)
      figures.add("threadsafe_ns", called.wall)
      figures.add("threadsafe_cpu_ns", called.cpu)
      figures.add("task_ns", try tasks(loop).wall)
      figures.add("task_bare_ns", BareTasks.createdAndAwaited(operations).wall)
      figures.add("task_default_executor_ns", tasksOfDefaultExecutor().wall)
      loop.close()
    }
    print("timers=\(timers) " + figures.line)
  }

  /// Callbacks that are scheduled on the loop, in batches, and run.
  private func callSoon(_ loop: EventLoop) throws -> Spent {
    let counter = Counter()
    func next() {
      if counter.value >= operations { return loop.stop() }
      for _ in 0..<CallSoon.batch { loop.callSoon { counter.value += 1 } }
      loop.callSoon(next)
    }
    loop.callSoon(next)
    let start = Spent.now
    try loop.runForever()
    return start.perOperation(counter.value)
  }

  /// One timer after the other added and cancelled, while all the others are pending, due in 60 to 120 s as they are.
  private func timersCancelled(_ loop: EventLoop) throws -> Spent {
    var random = Random()
    let pending = (0..<timers).map { _ in
      loop.callLater(.milliseconds(60_000 + random.next(below: 60_000))) {}
    }
    let start = Spent.now
    for _ in 0..<operations {
      loop.callLater(.milliseconds(60_000 + random.next(below: 60_000))) {}.cancel()
    }
    let spent = start.perOperation(operations)
    for timer in pending { timer.cancel() }
    return spent
  }

  /// All timers added, due in 0 to 50 ms, and the loop run until all have fired.
  private func timersFired(_ loop: EventLoop) throws -> Spent {
    var random = Random()
    let counter = Counter()
    let start = Spent.now
    for _ in 0..<timers {
      loop.callLater(.milliseconds(random.next(below: 51))) { [timers] in
        counter.value += 1
        if counter.value == timers { loop.stop() }
      }
    }
    try loop.runForever()
    return start.perOperation(timers)
  }

  /// One thread that sends, and a loop that runs.
  private func callsFromAnotherThread(_ loop: EventLoop) throws -> Spent {
    let counter = Counter()
    let remote = loop.remote
    let sends = sends
    let start = Spent.now
    DispatchQueue.global().async {
      for _ in 1..<sends { _ = try? remote.callSoonThreadsafe { _ in counter.value += 1 } }
      _ = try? remote.callSoonThreadsafe { $0.stop() }
    }
    try loop.runForever()
    precondition(counter.value == sends - 1)
    return start.perOperation(sends)
  }

  /// A task that creates tasks, and awaits each before the next.
  private func tasks(_ loop: EventLoop) throws -> Spent {
    let operations = operations
    let counter = Counter()
    let start = Spent.now
    try loop.runUntilComplete {
      for _ in 0..<operations { counter.value += try await loop.createTask { 1 }.value }
    }
    precondition(counter.value == operations)
    return start.perOperation(operations)
  }

  /// The same on Swift's own threads.
  private func tasksOfDefaultExecutor() -> Spent {
    let operations = operations
    let counter = Counter()
    let done = DispatchSemaphore(value: 0)
    let start = Spent.now
    Task.detached {
      for _ in 0..<operations { counter.value += await Task { 1 }.value }
      done.signal()
    }
    done.wait()
    precondition(counter.value == operations)
    return start.perOperation(operations)
  }
}

/// The same numbers in each run, as uv-timers has them.
struct Random {
  private var state: UInt64 = 42

  mutating func next(below bound: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % bound
  }
}
