// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// What a task of a loop is beyond a native one: a future, with cancellation that flows down.
@Suite struct LoopTaskTests {
  /// What no compiler lets out of its region.
  private final class Local {
    var steps: [String] = []
  }

  @Test("a task returns what is not sendable, and is a future")
  func future() throws {
    try runLoop { loop, _ in
      let local = Local()
      let task = loop.createTask(name: "local") {
        local.steps.append("ran")
        return local
      }
      #expect(task.name == "local" && !task.isDone && task.result == nil)
      var called = 0
      task.addDoneCallback { done in called += (try? done.result?.get()) === local ? 1 : 100 }
      #expect(try await task.value === local)
      #expect(task.isDone && !task.isCancelled && task.error == nil)
      try await loop.until { called == 1 }
      #expect(!task.cancel(), "it has ended")
      #expect(throws: EventLoopError.invalidState) { try task.setResult(local) }
      #expect(throws: EventLoopError.invalidState) { try task.setError(TestError()) }
      #expect(called == 1)
    }
  }

  @Test("a task that cancels its native task sees it in its next wait")
  func cancelsItself() throws {
    try runLoop { loop, _ in
      let task = loop.createTask {
        withUnsafeCurrentTask { $0?.cancel() }
        try await loop.sleep(for: .seconds(1000))
      }
      #expect(await task.outcome.isCancellation)
    }
  }

  @Test("a task that had ended when its waiter was cancelled hands over its value")
  func endedBefore() throws {
    try runLoop { loop, _ in
      let future = Future<Int>(loop)
      let worker = loop.createTask { try await future.value }
      var top: LoopTask<Int>?
      worker.addDoneCallback { _ in }
      let waiting = loop.createTask { try await worker.value }
      top = waiting
      try await loop.until { waiting.awaited != nil }
      // It ends first, and the one that waits has not run when it is cancelled.
      worker.onEnd = { top?.cancel() }
      try future.setResult(4)
      #expect(try await waiting.value == 4)
      #expect(!worker.isCancelled)
      top = nil
    }
  }

  @Test("cancelling who awaits a task cancels it, waits for its end, and then throws")
  func flowsDown() throws {
    try runLoop { loop, _ in
      var log: [String] = []
      let worker = loop.createTask {
        do { try await loop.sleep(for: .seconds(1000)) } catch {
          log.append("cancelled")
          // It takes its time, which nothing interrupts any more but itself.
          await loop.createTask { try? await loop.sleep(for: .milliseconds(5)) }.waitRegardless()
          log.append("cleaned up")
          throw error
        }
      }
      let middle = loop.createTask { try await worker.value }
      let top = loop.createTask {
        do { try await middle.value } catch {
          log.append("top")
          throw error
        }
      }
      try await loop.until { loop.allTasks.count == 4 && worker.awaited != nil && top.awaited != nil }
      top.cancel()
      #expect(await top.outcome.isCancellation)
      #expect(log == ["cancelled", "cleaned up", "top"])
      #expect(worker.isCancelled && middle.isCancelled && top.isCancelled)
    }
  }

  @Test(
    "an awaited task that fails on its way out hands its error up; one that succeeds does not undo the cancellation")
  func endsOtherwise() throws {
    try runLoop { loop, _ in
      let failing = loop.createTask {
        do { try await loop.sleep(for: .seconds(1000)) } catch { throw TestError(number: 3) }
      }
      let awaiting = loop.createTask { try await failing.value }
      try await loop.until { awaiting.awaited != nil }
      awaiting.cancel()
      #expect(await awaiting.outcome.failure as? TestError == TestError(number: 3))

      let stubborn = loop.createTask { () -> Int in
        do { try await loop.sleep(for: .seconds(1000)) } catch {}
        return 7
      }
      let other = loop.createTask { try await stubborn.value }
      try await loop.until { other.awaited != nil }
      other.cancel()
      #expect(await other.outcome.isCancellation)
      #expect(try await stubborn.value == 7)
    }
  }

  @Test("shield: the caller's cancellation ends the await, and not the task")
  func shield() throws {
    try runLoop { loop, _ in
      let gate = Future<Int>(loop)
      let task = loop.createTask { try await gate.value }
      let caller = loop.createTask { try await loop.shield(task) }
      let other = loop.createTask { try await loop.shield { try await gate.value + 1 } }
      try await loop.until { caller.awaited != nil && other.awaited != nil }
      caller.cancel()
      other.cancel()
      #expect(await caller.outcome.isCancellation)
      #expect(await other.outcome.isCancellation)
      #expect(!task.isDone)
      try gate.setResult(4)
      #expect(try await task.value == 4)
      #expect(try await loop.shield(task) == 4)
    }
  }

  @Test("a task that awaits itself is told so")
  func awaitsItself() throws {
    try runLoop { loop, _ in
      var task: LoopTask<Void>?
      task = loop.createTask { try await task?.value }
      #expect(await task?.outcome.failure as? EventLoopError == .invalidState)
      task = nil
    }
  }

  @Test("an eager task runs to its first suspension at once, from a task and from a callback")
  func eager() throws {
    try runLoop { loop, _ in
      var log: [String] = []
      let task = loop.createTask(eager: true) {
        log.append("begins")
        #expect(loop.currentTask?.name == nil)
        try await loop.sleep(for: .zero)
        log.append("goes on")
        return 1
      }
      log.append("maker")
      #expect(loop.currentTask?.name == "main", "the maker is itself again")
      #expect(try await task.value == 1)
      loop.callSoon {
        loop.createTask(eager: true) { log.append("from a callback") }
        log.append("callback")
        #expect(loop.currentTask == nil)
      }
      try await loop.sleep(for: .zero)
      let done = loop.createTask(eager: true) { 5 }
      #expect(done.isDone && (try? done.result?.get()) == 5)
      #expect(log == ["begins", "maker", "goes on", "from a callback", "callback"])
    }
  }

  @Test("an eager task on a loop that does not run begins as others do")
  func eagerWhileStopped() throws {
    try withLoop { loop, _ in
      var ran = false
      let task = loop.createTask(eager: true) { ran = true }
      #expect(!ran)
      try loop.runUntilComplete(task)
      #expect(ran)
    }
  }

  @Test("currentTask and allTasks: the loop's own, and neither children nor what has ended")
  func introspection() throws {
    try runLoop { loop, _ in
      #expect(loop.currentTask?.name == "main")
      let first = loop.createTask(name: "first") { [weak loop] in
        #expect(loop?.currentTask?.name == "first")
        try await loop?.sleep(for: .seconds(1000))
      }
      let line: UInt = #line + 1
      loop.createTask(name: "second") { try await first.value }
      #expect(loop.allTasks.map(\.name) == ["main", "first", "second"])
      #expect(loop.allTasks.last?.callSite.line == line)
      async let child = Task.name
      _ = await child
      first.cancel()
      try await loop.until { loop.allTasks.count == 1 }
    }
  }

  @Test("allTasks tells the tasks in the order in which they were made, also when others have ended between")
  func order() throws {
    try runLoop { loop, _ in
      let gates = (0..<20).map { _ in Future<Void>(loop) }
      for (number, gate) in gates.enumerated() { loop.createTask(name: "\(number)") { try await gate.value } }
      for gate in gates[5..<12] { try gate.setResult(()) }
      try await loop.until { loop.allTasks.count == 14 }
      let last = Future<Void>(loop)
      for number in 20..<30 { loop.createTask(name: "\(number)") { try await last.value } }
      let numbers = Array(0..<5) + Array(12..<30)
      #expect(loop.allTasks.map { $0.name ?? "" } == ["main"] + numbers.map { "\($0)" })
      for gate in gates[0..<5] + gates[12...] + [last] { try gate.setResult(()) }
      try await loop.until { loop.allTasks.count == 1 }
    }
  }

  @Test("children and foreign tasks wait and are cancelled by a handler of their own")
  func foreigners() throws {
    try runLoop { loop, _ in
      let future = LoopBound(Future<Int>(loop))
      let foreign = Task(executorPreference: loop.taskExecutor) { try await future.value.value }
      let parent = loop.createTask {
        try await withThrowingTaskGroup(of: Int.self) { group in
          group.addTask { try await future.value.value }
          return try await group.next()
        }
      }
      try await loop.until { future.value.waitingCount == 2 }
      foreign.cancel()
      await #expect(throws: CancellationError.self) { try await foreign.value }
      parent.cancel()
      #expect(await parent.outcome.isCancellation)
      #expect(future.value.waitingCount == 0)
      try future.value.setResult(1)
    }
  }

  @Test("in a shield a task that is cancelled may wait, before the cancellation and after it")
  func cancellationShield() throws {
    try runLoop { loop, _ in
      var log: [String] = []
      let task = loop.createTask {
        do {
          try await loop.sleep(for: .seconds(1000))
        } catch {
          log.append("cancelled \(Task.isCancelled)")
          let answer = try await loop.withCancellationShield {
            log.append("cleans up \(!Task.isCancelled)")
            try await loop.sleep(for: .milliseconds(1))
            return 42
          }
          log.append("\(answer)")
          await #expect(throws: TestError(number: 1)) {
            try await loop.withCancellationShield { throw TestError(number: 1) }
          }
          throw error
        }
      }
      let late = Future<Void>(loop)
      let inside = loop.createTask { try await loop.withCancellationShield { try await late.value } }
      try await loop.sleep(for: .zero)
      task.cancel()
      inside.cancel()
      #expect(await task.outcome.isCancellation)
      #expect(log == ["cancelled true", "cleans up true", "42"])
      #expect(!inside.isDone)
      try late.setResult(())
      try await inside.value
      #expect(loop.allTasks.count == 1)
    }
  }

  @Test("cancelled before it begins, a task begins and finds itself cancelled")
  func cancelledEarly() throws {
    try runLoop { loop, _ in
      var log: [String] = []
      let task = loop.createTask {
        log.append("began \(Task.isCancelled)")
        try await loop.sleep(for: .zero)
        log.append("slept")
      }
      #expect(task.cancel())
      #expect(!task.isDone)
      #expect(await task.outcome.isCancellation)
      #expect(log == ["began true"])
    }
  }

  @Test("an error that nobody asks for is reported when the task is released, and only then")
  func unreadError() throws {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      var kept: LoopTask<Void>? = loop.createTask(name: "kept") { throw TestError(number: 1) }
      try await loop.until { kept?.isDone == true }
      #expect(errors.contexts.isEmpty)
      kept = nil
      #expect(errors.messages == ["the error of a task \"kept\" was never retrieved"])
      #expect(errors.contexts.first?.taskName == "kept")
      kept = loop.createTask { throw TestError(number: 2) }
      try await loop.until { kept?.isDone == true }
      #expect(kept?.error as? TestError == TestError(number: 2))
      kept = nil
      #expect(errors.contexts.count == 1)
    }
  }

  @Test("other threads cancel and await a task by its remote")
  func remote() async throws {
    let running = LoopThread()
    let remote = try await running.remote.run { loop in
      loop.createTask { () -> Int in
        do { try await loop.sleep(for: .seconds(1000)) } catch {}
        return 42
      }.remote
    }
    remote.cancel()
    let value = try await remote.value
    #expect(value == 42)
    await running.end()
  }

  @Test("a failed task that another thread is the last to hold is released, and reported, on its loop's thread")
  func remoteIsLast() async throws {
    let threads = Shared<[ThreadIdentity]>([])
    let running = LoopThread { loop in
      loop.setExceptionHandler { _, _ in threads.withLock { $0.append(.current) } }
    }
    let home = try await running.remote.run { _ in ThreadIdentity.current }
    for number in 0..<20 {
      let remote = try await running.remote.run { loop in
        loop.createTask { () -> Void in throw TestError(number: 1) }.remote
      }
      try await running.remote.run { loop in try await loop.until { loop.allTasks.count == 1 } }
      #expect(threads.current.count == number, "somebody holds it")
      withExtendedLifetime(remote) {}
    }
    // Behind whatever letting go of them has sent there.
    try await running.remote.run { _ in }
    #expect(threads.current == Array(repeating: home, count: 20))
    await running.end()
  }

  @Test("closing a loop lets go of tasks that have not begun")
  func closing() throws {
    var released = false
    try withLoop { loop, _ in
      let probe = ReleaseProbe { released = true }
      loop.createTask { probe.touch() }
    }
    #expect(released)
  }

  @Test("a cancellation goes once round tasks that await one another in a circle")
  func circle() throws {
    try withLoop { loop, _ in
      let other = Future<LoopTask<Void>>(loop)
      let second = loop.createTask { try await other.value.value }
      let first = loop.createTask { try await second.value }
      try other.setResult(first)
      for _ in 0..<5 {
        loop.stop()
        try loop.runForever()
      }
      // Neither can end before the other has. What counts is that the call comes back.
      #expect(first.cancel())
      #expect(!first.isDone && !second.isDone)
    }
  }
}

extension Result {
  var failure: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
  var isCancellation: Bool { failure is CancellationError }
}
