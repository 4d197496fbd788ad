// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct RunnerTests {
  private func run<R>(_ body: @escaping (EventLoop) async throws -> R) throws -> R {
    CapturedLog.install()
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    defer {
      #expect(loop.isClosed)
      #expect(kernel.openDescriptors == [])
    }
    return try loop.runMain(body)
  }

  @Test("EventLoop.run makes a loop, runs the body on it, and returns what it returns")
  func result() throws {
    var kept: EventLoop?
    let value = try EventLoop.run { loop in
      kept = loop
      #expect(EventLoop.running === loop)
      #expect(loop.isRunning)
      return "value"
    }
    #expect(value == "value")
    #expect(kept?.isClosed == true && kept?.isRunning == false)
    #expect(EventLoop.running == nil)
  }

  @Test("the configuration sets debug mode")
  func debug() throws {
    var configuration = EventLoop.Configuration()
    for debug in [true, false] {
      configuration.debug = debug
      let set = try EventLoop.run(configuration) { $0.debug }
      #expect(set == debug)
    }
  }

  @Test("the body's error is rethrown, after what is left was cancelled")
  func bodyThrows() throws {
    var leftover = "running"
    #expect(throws: TestError(number: 9)) {
      try run { loop in
        loop.createTask {
          do { try await loop.sleep(for: .seconds(1000)) } catch { leftover = "\(error is CancellationError)" }
        }
        try await loop.sleep(for: .zero)
        throw TestError(number: 9)
      }
    }
    #expect(leftover == "true")
  }

  @Test("tasks that are left are cancelled in the order of their making, and awaited")
  func leftovers() throws {
    var order: [Int] = []
    try run { loop in
      for number in 0..<5 {
        loop.createTask {
          do {
            try await loop.sleep(for: .seconds(1000))
          } catch {
            // Cleaning up takes more turns than one.
            for _ in 0..<3 { await Task.yield() }
            order.append(number)
          }
        }
      }
      try await loop.sleep(for: .zero)
    }
    #expect(order == [0, 1, 2, 3, 4])
  }

  @Test("a task that the body made last begins before the run is over")
  func notBegun() throws {
    var wasCancelled: Bool?
    try run { loop in
      loop.createTask { wasCancelled = Task.isCancelled }
      return
    }
    #expect(wasCancelled == false)
  }

  @Test("a task that ignores its cancellation for a while is waited for")
  func stubborn() throws {
    var finished = false
    try run { loop in
      loop.createTask {
        for _ in 0..<5 { try? await Task.detached { try await Task.sleep(for: .milliseconds(1)) }.value }
        finished = true
      }
      try await loop.sleep(for: .zero)
    }
    #expect(finished)
  }

  @Test("a task that begins others while it is cancelled keeps none of them alive")
  func createsWhileCancelled() throws {
    var order: [String] = []
    try run { loop in
      loop.createTask {
        do { try await loop.sleep(for: .seconds(1000)) } catch {
          loop.createTask {
            order.append("clean-up")
            // For ever, as far as this test is concerned.
            do { try await loop.sleep(for: .seconds(100_000)) } catch { order.append("cancelled too") }
          }
        }
      }
      try await loop.sleep(for: .zero)
    }
    #expect(order == ["clean-up", "cancelled too"])
  }

  @Test("stop() inside a run ends it with an error, and what is left is cancelled all the same")
  func stopInside() throws {
    var ended = 0
    #expect(throws: EventLoopError.stoppedBeforeComplete) {
      try run { loop in
        loop.createTask {
          defer { ended += 1 }
          try await loop.sleep(for: .seconds(1000))
        }
        loop.callSoon { loop.stop() }
        defer { ended += 1 }
        try await loop.sleep(for: .seconds(1000))
      }
    }
    #expect(ended == 2)
  }

  @Test("a task that stops the loop on its way out does not keep the others from theirs")
  func stopWhileCancelled() throws {
    var ended = 0
    try run { loop in
      for _ in 0..<3 {
        loop.createTask {
          do { try await loop.sleep(for: .seconds(1000)) } catch { loop.stop() }
          for _ in 0..<3 { await Task.yield() }
          ended += 1
        }
      }
      try await loop.sleep(for: .zero)
    }
    #expect(ended == 3)
  }

  @Test("errors of tasks that fail while they are cancelled are reported")
  func leftoverFails() throws {
    let errors = ErrorCollector()
    try run { loop in
      loop.setExceptionHandler { _, context in errors.contexts.append(context) }
      loop.createTask(name: "bad end") {
        do { try await loop.sleep(for: .seconds(1000)) } catch { throw TestError(number: 77) }
      }
      try await loop.sleep(for: .zero)
    }
    #expect(errors.contexts.compactMap { ($0.error as? TestError)?.number } == [77])
    #expect(errors.contexts.first?.taskName == "bad end")
  }

  @Test("callbacks and timers that are left are dropped, and let go of")
  func leftoverCallbacks() throws {
    let released = Boxed(0)
    try run { loop in
      _ = loop.callLater(.seconds(1000)) { [p = ReleaseProbe { released.value += 1 }] in p.touch() }
    }
    #expect(released.value == 1)
  }

  @Test("runUntilComplete takes a future, a task or a closure")
  func threeForms() throws {
    try withLoop { loop, kernel in
      let future = Future<Int>(loop)
      loop.callLater(.milliseconds(1)) { try future.setResult(1) }
      let first = try loop.runUntilComplete(future)
      let second = try loop.runUntilComplete(loop.createTask { 2 })
      let third = try loop.runUntilComplete { 3 }
      #expect([first, second, third] == [1, 2, 3])
      // A future that is done already takes one iteration.
      #expect(try loop.runUntilComplete(future) == 1)
      let failed = Future<Int>(loop)
      try failed.setError(TestError(number: 1))
      #expect(throws: TestError(number: 1)) { try loop.runUntilComplete(failed) }
      let task = loop.createTask { throw TestError(number: 2) }
      #expect(throws: TestError(number: 2)) { try loop.runUntilComplete(task) }
      #expect(throws: CancellationError.self) {
        let cancelled = loop.createTask { try await loop.sleep(for: .seconds(100)) }
        cancelled.cancel()
        return try loop.runUntilComplete(cancelled)
      }
    }
  }

  @Test("stopped before its task is done, runUntilComplete fails, and the task goes on in the next run")
  func stoppedTask() throws {
    try withLoop { loop, kernel in
      let task = loop.createTask {
        try await loop.sleep(for: .milliseconds(1))
        return 5
      }
      loop.callSoon { loop.stop() }
      #expect(throws: EventLoopError.stoppedBeforeComplete) { try loop.runUntilComplete(task) }
      let value = try loop.runUntilComplete(task)
      #expect(value == 5)
    }
  }

  @Test("what a run that was stopped had waited for does not end a later one")
  func staleCompletion() throws {
    try withLoop { loop, _ in
      let first = Future<Void>(loop)
      loop.callSoon { loop.stop() }
      #expect(throws: EventLoopError.stoppedBeforeComplete) { try loop.runUntilComplete(first) }
      let value = try loop.runUntilComplete {
        try first.setResult(())
        try await loop.turn(5)
        return 5
      }
      #expect(value == 5)
    }
  }
}
