// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct TaskGroupTests {
  @Test("tasks of a group share what surrounds them, and are awaited before the scope ends")
  func awaited() throws {
    try runLoop { loop, _ in
      var sum = 0
      let answer = try await loop.withLoopTaskGroup { group in
        for number in 1...10 {
          group.createTask {
            try await loop.sleep(for: .milliseconds(10 - number))
            sum += number
          }
        }
        #expect(group.count == 10)
        return "done"
      }
      #expect(answer == "done")
      #expect(sum == 55)
      #expect(loop.allTasks.count == 1)
    }
  }

  @Test("results come as a sequence, in the order in which the tasks end")
  func results() throws {
    try runLoop { loop, _ in
      let order = try await loop.withLoopTaskGroup { group in
        for number in [3, 1, 2] {
          group.createTask {
            try await loop.sleep(for: .milliseconds(5 * number))
            return number
          }
        }
        var order: [Int] = []
        for try await result in group { order.append(result) }
        #expect(try await group.next() == nil)
        group.createTask { 9 }
        #expect(try await group.next() == 9)
        return order
      }
      #expect(order == [1, 2, 3])
    }
  }

  @Test("who waits for the next result hears of the end of tasks that have none")
  func noResults() throws {
    try runLoop { loop, _ in
      try await loop.withLoopTaskGroup(of: Int.self) { group in
        let task = group.createTask {
          try await loop.sleep(for: .seconds(1000))
          return 1
        }
        loop.callLater(.milliseconds(1)) { task.cancel() }
        let next = try await group.next()
        #expect(next == nil)
      }
      try await loop.withLoopTaskGroup(of: Void.self) { group in
        for _ in 0..<3 { group.createTask {} }
        let next: Void? = try await group.next()
        #expect(next == nil, "nothing is kept of tasks that return nothing")
        #expect(group.count == 0)
      }
    }
  }

  @Test("a failing task cancels the others and the closure; its error is thrown as it is")
  func failure() throws {
    try runLoop { loop, _ in
      var cancelled: [String] = []
      func hang(_ name: String) async throws {
        do { try await loop.sleep(for: .seconds(1000)) } catch {
          cancelled.append(name)
          throw error
        }
      }
      await #expect(throws: TestError(number: 5)) {
        try await loop.withLoopTaskGroup { group in
          group.createTask { try await hang("task") }
          group.createTask {
            try await loop.sleep(for: .milliseconds(1))
            throw TestError(number: 5)
          }
          try await hang("closure")
        }
      }
      #expect(Set(cancelled) == ["task", "closure"])
      #expect(loop.allTasks.count == 1)
    }
  }

  @Test("several failures arrive as one error that lists them all, the closure's too")
  func failures() throws {
    try runLoop { loop, _ in
      let error = await #expect(throws: LoopTaskGroupError.self) {
        try await loop.withLoopTaskGroup { group in
          for number in 1...2 {
            group.createTask {
              do { try await loop.sleep(for: .seconds(1000)) } catch { throw TestError(number: number) }
            }
          }
          try await loop.sleep(for: .zero)
          throw TestError(number: 3)
        }
      }
      let numbers = error?.errors.compactMap { ($0 as? TestError)?.number }
      #expect(Set(numbers ?? []) == [1, 2, 3] && numbers?.first == 3)
      #expect(error?.description.hasPrefix("3 tasks failed: ") == true)
    }
  }

  @Test("cancelling who runs the group cancels its tasks, waits for them as long as they take, and is thrown")
  func cancelledFromOutside() throws {
    try runLoop { loop, _ in
      var ended = 0
      let runner = loop.createTask {
        try await loop.withLoopTaskGroup { group in
          for number in 0..<3 {
            group.createTask {
              defer { ended += 1 }
              try await hang(loop, cleaningUp: number * 3)
            }
          }
        }
      }
      try await loop.until { loop.allTasks.count == 5 }
      runner.cancel()
      #expect(await runner.outcome.isCancellation)
      #expect(ended == 3)
    }
  }

  @Test("cancel() ends the group early without an error, also from one of its tasks and before the closure is done")
  func cancel() throws {
    try runLoop { loop, _ in
      let number = try await loop.withLoopTaskGroup(of: Void.self) { group in
        group.createTask { try await loop.sleep(for: .seconds(1000)) }
        group.cancel()
        #expect(group.isCancelled)
        return 5
      }
      #expect(number == 5)
      try await loop.withLoopTaskGroup { group in
        group.createTask { group.cancel() }
        group.createTask { try await loop.sleep(for: .seconds(1000)) }
        try await loop.sleep(for: .seconds(1000))
      }
      var ran = false
      try await loop.withLoopTaskGroup(of: Void.self) { group in
        group.cancel()
        let late = group.createTask {
          try await loop.sleep(for: .zero)
          ran = true
        }
        #expect(await late.outcome.isCancellation)
      }
      #expect(!ran)
      var wasCancelled = false
      try await loop.withLoopTaskGroup(of: Void.self) { group in
        group.cancel()
        // Nobody awaits it, but the group.
        group.createTask { wasCancelled = Task.isCancelled }
      }
      #expect(wasCancelled)
    }
  }

  @Test("maxConcurrent: no more than so many are at work, in the order in which they were made", arguments: [1, 3])
  func limit(_ limit: Int) throws {
    try runLoop { loop, _ in
      var active = 0
      var most = 0
      var began: [Int] = []
      try await loop.withLoopTaskGroup(maxConcurrent: limit) { group in
        for number in 0..<20 {
          group.createTask {
            began.append(number)
            active += 1
            most = max(most, active)
            defer { active -= 1 }
            try await loop.sleep(for: .microseconds(number % 3 * 100))
          }
        }
      }
      #expect(most == limit)
      #expect(began == Array(0..<20))
    }
  }

  @Test("a place is not lost when who waits for it, or has been given it, is cancelled")
  func limitAndCancellation() throws {
    try runLoop { loop, _ in
      try await loop.withLoopTaskGroup(maxConcurrent: 1) { group in
        var ran: [Int] = []
        let gate = Future<Void>(loop)
        group.createTask { try await gate.value }
        let waiting = group.createTask { ran.append(1) }
        let given = group.createTask { ran.append(2) }
        let last = group.createTask { ran.append(3) }
        try await loop.until { given.awaited != nil && last.awaited != nil }
        waiting.cancel()
        try gate.setResult(())
        // In the very tick in which the place is handed over.
        loop.callSoon { given.cancel() }
        try await last.value
        #expect(ran.last == 3 && !ran.contains(1))
      }
    }
  }

  @Test("groups nest, and an inner failure ends the outer")
  func nested() throws {
    try runLoop { loop, _ in
      await #expect(throws: TestError(number: 9)) {
        try await loop.withLoopTaskGroup { outer in
          outer.createTask { try await loop.sleep(for: .seconds(1000)) }
          outer.createTask {
            try await loop.withLoopTaskGroup { inner in
              inner.createTask { throw TestError(number: 9) }
              inner.createTask { try await loop.sleep(for: .seconds(1000)) }
            }
          }
        }
      }
      #expect(loop.allTasks.count == 1)
    }
  }

  @Test("gather returns each result with its type, and ends at the first failure")
  func gather() throws {
    try runLoop { loop, _ in
      let (number, text, nothing): (Int, String, Void) = try await loop.gather({ 1 }, { "two" }, {})
      #expect(number == 1 && text == "two" && nothing == ())
      var wasCancelled = false
      await #expect(throws: TestError(number: 4)) {
        _ = try await loop.gather(
          {
            do { try await loop.sleep(for: .seconds(1000)) } catch {
              wasCancelled = true
              throw error
            }
          }, { throw TestError(number: 4) })
      }
      #expect(wasCancelled)
      let doubled = try await loop.gather(1...3) { $0 * 2 }
      #expect(doubled == [2, 4, 6])
      let none = try await loop.gather([Int]()) { $0 }
      #expect(none == [])
      let results = try await loop.gatherResults(0...1) { try half($0) }
      #expect(try results[0].get() == 0)
      #expect(results[1].failure as? TestError == TestError(number: 1))
    }
  }

  @Test("gather over tasks throws the first error and lets the others run; its cancellation is theirs")
  func gatherTasks() throws {
    try runLoop { loop, _ in
      let good = loop.createTask { 1 }
      let slow = loop.createTask { () -> Int in
        try await hang(loop, cleaningUp: 3)
        return 2
      }
      let slower = loop.createTask { () -> Int in
        try await hang(loop, cleaningUp: 9)
        return 3
      }
      let bad = loop.createTask { () -> Int in throw TestError(number: 6) }
      await #expect(throws: TestError(number: 6)) { _ = try await loop.gather([good, slow, bad]) }
      #expect(!slow.isDone)
      let waiting = loop.createTask { try await loop.gather([good, slow, slower]) }
      try await loop.until { waiting.awaited != nil }
      waiting.cancel()
      #expect(await waiting.outcome.isCancellation)
      #expect(slow.isCancelled && slower.isCancelled, "it has waited for their ends")
    }
  }

  @Test("wait(for:) tells the done from the pending, at the condition or the time, and cancels nothing")
  func waitFor() throws {
    try runLoop { loop, kernel in
      let (first, second) = (Future<Void>(loop), Future<Void>(loop))
      let quick = loop.createTask { try await first.value }
      let bad = loop.createTask {
        try await second.value
        throw TestError()
      }
      let never = loop.createTask { try await loop.sleep(for: .seconds(1000)) }
      let all = [quick, bad, never]
      loop.callLater(.milliseconds(1)) { try first.setResult(()) }
      var (done, pending) = try await loop.wait(for: all, timeout: .seconds(1000), returnWhen: .firstCompleted)
      #expect(done.first === quick && done.count == 1 && pending.count == 2)
      // The task that never ends has one; the limit of the wait has gone with it.
      #expect(loop.core.timers.count == 1)
      loop.callLater(.milliseconds(1)) { try second.setResult(()) }
      (done, pending) = try await loop.wait(for: all, returnWhen: .firstError)
      #expect(done.count == 2 && pending.first === never)
      (done, pending) = try await loop.wait(for: all, timeout: .milliseconds(1))
      #expect(done.count == 2 && pending.first === never && !never.isDone)
      (done, pending) = try await loop.wait(for: [LoopTask<Void>]())
      #expect(done.isEmpty && pending.isEmpty)
      let waiting = loop.createTask { _ = try await loop.wait(for: [never]) }
      try await loop.until { waiting.awaited != nil }
      waiting.cancel()
      #expect(await waiting.outcome.isCancellation)
      #expect(!never.isDone)
      never.cancel()
    }
  }

  @Test("asCompleted: tasks in the order in which they end; a cancelled wait loses none")
  func asCompleted() throws {
    try runLoop { loop, _ in
      let tasks = [3, 1, 2].map { number in
        loop.createTask {
          try await loop.sleep(for: .milliseconds(3 * number))
          return number
        }
      }
      var order: [Int] = []
      for try await task in loop.asCompleted(tasks) { order.append(try await task.value) }
      #expect(order == [1, 2, 3])

      let gate = Future<Void>(loop)
      let late = loop.createTask { try await gate.value }
      var iterator = loop.asCompleted([late]).makeAsyncIterator()
      let waiting = loop.createTask { try await iterator.next() == nil }
      try await loop.until { waiting.awaited != nil }
      waiting.cancel()
      #expect(await waiting.outcome.isCancellation)
      try gate.setResult(())
      let next = try await iterator.next()
      #expect(next === late)
      #expect(try await iterator.next() == nil)
    }
  }
}

/// Hangs until it is cancelled, and then takes so many turns of the loop to clean up.
private func hang(_ loop: EventLoop, cleaningUp turns: Int) async throws {
  do { try await loop.sleep(for: .seconds(1000)) } catch {
    await loop.createTask { try? await loop.turn(turns) }.waitRegardless()
    throw error
  }
}

private func half(_ number: Int) throws -> Int {
  if number % 2 != 0 { throw TestError(number: number) }
  return number / 2
}
