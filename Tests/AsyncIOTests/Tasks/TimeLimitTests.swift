// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct TimeLimitTests {
  @Test("work within the limit returns its value, or throws its error")
  func withinLimit() throws {
    try runLoop { loop, _ in
      let three = try await loop.withTimeout(.seconds(100)) { 3 }
      let four = try await loop.withTimeout(.seconds(100)) {
        try await loop.sleep(for: .milliseconds(1))
        return 4
      }
      #expect(three == 3 && four == 4)
      await #expect(throws: TestError(number: 1)) {
        try await loop.withTimeout(.seconds(100)) { throw TestError(number: 1) }
      }
      #expect(loop.core.timers.count == 0, "the limits are taken away")
    }
  }

  @Test("work beyond the limit is cancelled and awaited, and the error names the limit's place")
  func beyondLimit() throws {
    try runLoop { loop, kernel in
      var log: [String] = []
      let start = loop.time
      let line: UInt = #line + 3
      let error =
        await thrown {
          try await loop.withTimeout(.milliseconds(10)) {
            do { try await loop.sleep(for: .seconds(1000)) } catch {
              log.append("\(Task.isCancelled)")
              throw error
            }
          }
        } as? TimeoutError
      #expect(start.duration(to: loop.time) >= .milliseconds(10))
      #expect(error?.callSite.line == line)
      #expect(log == ["true"])
      #expect(!Task.isCancelled, "the caller is not cancelled by a limit of its own")
      try await loop.sleep(for: .zero)
    }
  }

  @Test("Task.sleep, child tasks and plain awaits end by the limit as well")
  func everythingEnds() throws {
    try runLoop { loop, _ in
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.milliseconds(1)) { try await Task.sleep(for: .seconds(1000)) }
      }
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.milliseconds(1)) {
          async let child: Void = Task.sleep(for: .seconds(1000))
          try await child
        }
      }
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.milliseconds(1)) { try await Future<Void>(loop).value }
      }
    }
  }

  @Test("what runs under a limit is a part of the calling task, to its end and no longer")
  func partOfItsTask() throws {
    try runLoop { loop, _ in
      let task = loop.createTask(name: "limited") { () -> Bool in
        let outside = loop.currentTask
        let count = loop.allTasks.count
        let inside = try await loop.withTimeout(.seconds(100)) {
          try await loop.withDeadline(nil) {
            let before = loop.currentTask === outside
            try await loop.sleep(for: .zero)
            return before && loop.currentTask === outside && loop.allTasks.count == count
          }
        }
        return inside && loop.currentTask === outside
      }
      #expect(try await task.value)
      let other = loop.createTask { () async throws -> Void in
        try await loop.withTimeout(.seconds(100)) { try await loop.sleep(for: .seconds(1000)) }
      }
      try await loop.until { other.awaited != nil }
      other.cancel()
      #expect(await other.outcome.isCancellation)
      #expect(other.awaited == nil)
    }
  }

  @Test("a limit whose scope was left is kept by nobody, and cannot be moved any more")
  func leftScope() throws {
    try runLoop { loop, _ in
      weak var dropped: TimeLimit?
      try await loop.withTimeout(.seconds(100)) { (limit: TimeLimit) in
        dropped = limit
        try await loop.sleep(for: .zero)
      }
      #expect(dropped == nil)
      let kept = try await loop.withTimeout(.seconds(100)) { (limit: TimeLimit) in limit }
      kept.reschedule(after: .milliseconds(1))
      #expect(loop.core.timers.count == 0)
    }
  }

  @Test("a task that goes on waits for nothing any more")
  func nothingAwaited() throws {
    try runLoop { loop, _ in
      let other = loop.createTask { try await loop.sleep(for: .zero) }
      let task = loop.createTask { () async throws -> [Bool] in
        func isFree() -> Bool { loop.tasks.current?.awaited == nil }
        try await other.value
        let afterTask = isFree()
        try await loop.sleep(for: .zero)
        let afterWait = isFree()
        try await loop.withTimeout(.seconds(100)) { try await loop.sleep(for: .zero) }
        return [afterTask, afterWait, isFree()]
      }
      let free = try await task.value
      #expect(free == [true, true, true])
    }
  }

  @Test("a task that awaits itself under a limit is told, rather than left to wait")
  func awaitsItself() throws {
    try runLoop { loop, _ in
      var own: LoopTask<Void>?
      let task = loop.createTask { () async throws -> Void in
        try await loop.withTimeout(.seconds(100)) { if let own { try await own.value } }
      }
      own = task
      await #expect(throws: EventLoopError.invalidState) { try await task.value }
      own = nil
    }
  }

  @Test("work that answers a cancellation of its caller with a value has that value returned")
  func answersCancellation() throws {
    try runLoop { loop, _ in
      let task = loop.createTask {
        let value = try await loop.withTimeout(.seconds(100)) {
          do { try await loop.sleep(for: .seconds(1000)) } catch {}
          return 5
        }
        #expect(Task.isCancelled)
        return value
      }
      try await loop.until { task.awaited != nil }
      task.cancel()
      #expect(try await task.value == 5)
      #expect(loop.core.timers.count == 0)
    }
  }

  @Test("a child by async let has limits as well, and their cancellation flows down", arguments: [true, false])
  func inChildTask(_ cancelled: Bool) throws {
    try runLoop { loop, _ in
      var log: [String] = []
      func limited(_ bound: LoopBound<EventLoop>) async throws {
        let loop = bound.value
        try await loop.withTimeout(cancelled ? .seconds(100) : .milliseconds(1)) {
          try await loop.sleep(for: .seconds(1000))
        }
      }
      let bound = LoopBound(loop)
      let task = loop.createTask {
        async let child: Void = limited(bound)
        do { try await child } catch {
          log.append("\(type(of: error))")
          throw error
        }
      }
      if cancelled {
        try await loop.until { loop.core.timers.count == 2 }
        task.cancel()
      }
      let error = await thrown { try await task.value }
      #expect(cancelled ? error is CancellationError : error is TimeoutError)
      #expect(log == [cancelled ? "CancellationError" : "TimeoutError"])
      #expect(loop.core.timers.count == 0)
    }
  }

  @Test("limits nest, and each throws for itself", arguments: [true, false])
  func nested(_ innerFirst: Bool) throws {
    try runLoop { loop, _ in
      var inner: (any Error)?
      let outerLine: UInt = #line + 2
      do {
        try await loop.withTimeout(innerFirst ? .seconds(100) : .milliseconds(2)) {
          do {
            try await loop.withTimeout(innerFirst ? .milliseconds(2) : .seconds(100)) {
              try await loop.sleep(for: .seconds(1000))
            }
          } catch {
            inner = error
            try await loop.sleep(for: .zero)
          }
        }
        #expect(innerFirst)
        #expect(inner is TimeoutError)
      } catch {
        #expect(!innerFirst)
        #expect(inner is CancellationError)
        #expect((error as? TimeoutError)?.callSite.line == outerLine)
      }
    }
  }

  @Test("both expire in one tick: the outer one is told of")
  func nestedInOneTick() throws {
    try runLoop { loop, _ in
      let deadline = loop.time.advanced(by: .milliseconds(1))
      let outerLine: UInt = #line + 3
      let error =
        await thrown {
          try await loop.withDeadline(deadline) {
            try await loop.withDeadline(deadline) { try await loop.sleep(for: .seconds(1000)) }
          }
        } as? TimeoutError
      #expect(error?.callSite.line == outerLine)
    }
  }

  @Test(
    "a cancellation from outside is never taken for the limit's, in the same tick either", arguments: [true, false])
  func outsideInOneTick(_ cancelFirst: Bool) throws {
    try runLoop { loop, _ in
      let deadline = loop.time.advanced(by: .milliseconds(1))
      var task: LoopTask<Void>?
      if cancelFirst { loop.callAt(deadline) { task?.cancel() } }
      let running = loop.createTask(eager: true) {
        try await loop.withDeadline(deadline) { try await loop.sleep(for: .seconds(1000)) }
      }
      task = running
      if !cancelFirst { loop.callAt(deadline) { task?.cancel() } }
      #expect(await running.outcome.isCancellation)
      task = nil
    }
  }

  @Test(
    "a limit swallows no cancellation that comes as its work is done: a task that waits again and again ends",
    arguments: 0..<6)
  func cancellationAtTheEndOfWork(_ turns: Int) throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop)
      let task = loop.createTask {
        while true { _ = try await loop.withTimeout(.seconds(1000)) { try await queue.get() } }
      }
      try await loop.turn()
      #expect(queue.tryPut(1))
      // Before the work knows that it is done, before its scope does, and after both.
      for _ in 0..<turns { try await loop.sleep(for: .zero) }
      task.cancel()
      try await loop.until("it ends") { task.isDone }
      #expect(await task.outcome.isCancellation)
    }
  }

  @Test("a limit that its caller's cancellation ends leaves the error of work that fails then", arguments: 0..<4)
  func errorAsTheCallerIsCancelled(_ turns: Int) throws {
    try runLoop { loop, _ in
      let future = Future<Int>(loop)
      let task = loop.createTask { try await loop.withTimeout(.seconds(1000)) { try await future.value } }
      try await loop.turn()
      try future.setError(TestError(number: 3))
      for _ in 0..<turns { try await loop.sleep(for: .zero) }
      task.cancel()
      // The error came first.
      await #expect(throws: TestError(number: 3)) { try await task.value }
    }
  }

  @Test("work that is done in the tick in which the time is over is done")
  func doneInOneTick() throws {
    try runLoop { loop, _ in
      let deadline = loop.time.advanced(by: .milliseconds(1))
      let future = Future<Int>(loop)
      loop.callAt(deadline) { try future.setResult(8) }
      let value = try await loop.withDeadline(deadline) { try await future.value }
      #expect(value == 8)
    }
  }

  @Test("a limit can be moved, taken away, and asked")
  func reschedule() throws {
    try runLoop { loop, _ in
      try await loop.withTimeout(.milliseconds(5)) { limit in
        #expect(limit.deadline != nil && !limit.isExpired)
        limit.reschedule(at: nil)
        #expect(limit.deadline == nil)
        try await loop.sleep(for: .milliseconds(15))
      }
      var kept: TimeLimit?
      await #expect(throws: TimeoutError.self) {
        try await loop.withDeadline(nil) { limit in
          kept = limit
          try await loop.sleep(for: .zero)
          limit.reschedule(after: .milliseconds(1))
          try await loop.sleep(for: .seconds(1000))
        }
      }
      #expect(kept?.isExpired == true)
      kept?.reschedule(after: .milliseconds(1))
      #expect(loop.core.timers.count == 0, "nothing is scheduled once the scope was left")
    }
  }

  @Test(
    "a limit of zero or less expires at the first suspension; work that never suspends is done", arguments: [0, -5])
  func zero(_ seconds: Int) throws {
    try runLoop { loop, _ in
      let one = try await loop.withTimeout(.seconds(seconds)) { 1 }
      #expect(one == 1)
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.seconds(seconds)) { try await loop.sleep(for: .seconds(1000)) }
      }
    }
  }

  @Test("in a task that is cancelled already nothing begins")
  func cancelledBefore() throws {
    try runLoop { loop, _ in
      var began = false
      let task = loop.createTask { try await loop.withTimeout(.seconds(100)) { began = true } }
      task.cancel()
      #expect(await task.outcome.isCancellation)
      #expect(!began)
    }
  }

  @Test("work that fails on its way out has failed, and not run out of time")
  func failsOnItsWayOut() throws {
    try runLoop { loop, _ in
      _ = await #expect(throws: TestError(number: 2)) {
        try await loop.withTimeout(.milliseconds(1)) {
          do { try await loop.sleep(for: .seconds(1000)) } catch { throw TestError(number: 2) }
        }
      }
    }
  }

  @Test("a limit that has expired is not moved any more")
  func expiredForGood() throws {
    try runLoop { loop, _ in
      _ = await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.milliseconds(1)) { limit in
          let deadline = limit.deadline
          do { try await loop.sleep(for: .seconds(1000)) } catch {
            limit.reschedule(after: .seconds(1000))
            #expect(limit.isExpired && limit.deadline == deadline && loop.core.timers.count == 0)
            throw error
          }
        }
      }
    }
  }

  @Test("a ticker keeps its distances whatever the work takes, and tells what it missed")
  func ticker() throws {
    try runLoop { loop, kernel in
      kernel.stopClock()
      var ticks: [Ticker.Tick] = []
      let ticking = loop.createTask {
        for try await tick in loop.every(.milliseconds(4)) {
          ticks.append(tick)
          // The work takes its time.
          kernel.advanceClock(by: .milliseconds(tick.number == 2 ? 13 : 1))
        }
      }
      try await loop.turn()
      try await loop.expect(after: .milliseconds(4), on: kernel) { ticks.count == 1 }
      try await loop.expect(after: .milliseconds(3), on: kernel) { ticks.count >= 2 }
      try await loop.until { ticks.count == 3 }
      // It is the twenty-second millisecond.
      try await loop.expect(after: .milliseconds(2), on: kernel) { ticks.count == 4 }
      #expect(ticks.map(\.number) == [1, 2, 5, 6])
      #expect(ticks.map(\.missed) == [0, 0, 2, 0])
      ticking.cancel()
      #expect(await ticking.outcome.isCancellation)
    }
  }
}
