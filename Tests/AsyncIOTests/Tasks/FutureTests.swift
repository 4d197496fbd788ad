// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct FutureTests {
  @Test("a future is pending, then done, and its outcome is final")
  func states() throws {
    try withLoop { loop, kernel in
      let value = Future<Int>(loop)
      #expect(!value.isDone && !value.isCancelled && value.result == nil)
      try value.setResult(7)
      #expect(value.isDone && !value.isCancelled)
      #expect(try value.result?.get() == 7)
      #expect(throws: EventLoopError.invalidState) { try value.setResult(8) }
      #expect(throws: EventLoopError.invalidState) { try value.setError(TestError()) }
      #expect(!value.cancel())
      #expect(try value.result?.get() == 7)
      let failed = Future<Int>(loop)
      try failed.setError(TestError(number: 3))
      #expect(failed.isDone && !failed.isCancelled)
      #expect(throws: TestError(number: 3)) { try failed.result?.get() }
      let cancelled = Future<Int>(loop)
      #expect(cancelled.cancel())
      #expect(!cancelled.cancel())
      #expect(cancelled.isDone && cancelled.isCancelled)
      #expect(throws: CancellationError.self) { try cancelled.result?.get() }
      #expect(throws: EventLoopError.invalidState) { try cancelled.setResult(1) }
    }
  }

  @Test("done callbacks come by callSoon, in order, each once, with the future")
  func doneCallbacks() throws {
    try withLoop { loop, kernel in
      let future = Future<Int>(loop)
      var order: [Int] = []
      for number in 1...3 {
        future.addDoneCallback { done in
          #expect(done === future)
          order.append(number)
        }
      }
      try future.setResult(0)
      #expect(order == [])
      loop.callSoon { order.append(4) }
      future.addDoneCallback { _ in order.append(5) }
      #expect(order == [])
      try turn(loop)
      #expect(order == [1, 2, 3, 4, 5])
      try turn(loop)
      #expect(order.count == 5)
    }
  }

  @Test("a done callback's error is reported")
  func callbackThrows() throws {
    try withLoop { loop, kernel in
      let errors = loop.collectErrors()
      let future = Future<Int>(loop)
      var ran = false
      future.addDoneCallback { _ in throw TestError(number: 5) }
      future.addDoneCallback { _ in ran = true }
      future.cancel()
      try turn(loop)
      #expect(ran)
      #expect(errors.contexts.compactMap { $0.error as? TestError } == [TestError(number: 5)])
    }
  }

  @Test("any number of tasks await the outcome, and wake in order")
  func waiters() throws {
    try runLoop { loop, kernel in
      let future = Future<Int>(loop)
      var woken: [Int] = []
      let tasks = (0..<5).map { number in
        loop.createTask {
          let value = try await future.value
          woken.append(number)
          return value
        }
      }
      try await loop.sleep(for: .zero)
      #expect(woken == [])
      try future.setResult(9)
      #expect(woken == [])
      for task in tasks { #expect(try await task.value == 9) }
      #expect(woken == Array(0..<5))
      #expect(try await future.value == 9)
    }
  }

  @Test("an error and a cancellation reach those who await")
  func waitersOfFailures() throws {
    try runLoop { loop, kernel in
      let failing = Future<Int>(loop)
      let cancelled = Future<Int>(loop)
      let first = loop.createTask { try await failing.value }
      let second = loop.createTask { try await cancelled.value }
      try await loop.sleep(for: .zero)
      try failing.setError(TestError(number: 8))
      cancelled.cancel()
      await #expect(throws: TestError(number: 8)) { try await first.value }
      await #expect(throws: CancellationError.self) { try await second.value }
    }
  }

  @Test("a future that is long in coming does not keep those that have given up waiting")
  func cancelledWaiters() throws {
    try runLoop { loop, _ in
      let future = Future<Int>(loop)
      func giveUp() async throws -> WeakWaiter {
        let task = loop.createTask { try await future.value }
        try await loop.until { task.awaited != nil }
        let waiter = WeakWaiter(waiter: task.awaited)
        task.cancel()
        #expect(await task.outcome.isCancellation)
        return waiter
      }
      var waiters: [WeakWaiter] = []
      for _ in 0..<100 { waiters.append(try await giveUp()) }
      #expect(waiters.count { $0.waiter != nil } <= 16)
      #expect(future.waitingCount == 0)
    }
  }

  @Test("who has waited long enough, or was cancelled, leaves nothing with a future that is long in coming")
  func forgetsWatchers() throws {
    try runLoop { loop, _ in
      let future = Future<Int>(loop)
      var called = false
      future.addDoneCallback { _ in called = true }
      for _ in 0..<3 { _ = try await loop.wait(for: [future], timeout: .microseconds(1)) }
      let waiting = loop.createTask { try await loop.wait(for: [future]).done.count }
      let other = loop.createTask { try await loop.wait(for: [future]).done.count }
      try await loop.until { waiting.awaited != nil && other.awaited != nil }
      waiting.cancel()
      #expect(await waiting.outcome.isCancellation)
      #expect(future.callbackCount == 2)
      try future.setResult(1)
      #expect(try await other.value == 1)
      #expect(called && future.callbackCount == 0)
    }
  }

  private struct WeakWaiter {
    weak var waiter: (any Cancellable)?
  }

  @Test("cancelling a task that awaits ends that await alone")
  func cancelOneWaiter() throws {
    try runLoop { loop, kernel in
      let future = Future<Int>(loop)
      let first = loop.createTask { try await future.value }
      let second = loop.createTask { try await future.value }
      try await loop.sleep(for: .zero)
      first.cancel()
      await #expect(throws: CancellationError.self) { try await first.value }
      #expect(!future.isDone)
      try future.setResult(6)
      #expect(try await second.value == 6)
    }
  }

  @Test("a future's value may be of a type that is not sendable")
  func notSendable() throws {
    final class Counter { var count = 0 }
    try runLoop { loop, kernel in
      let future = Future<Counter>(loop)
      let counter = Counter()
      loop.createTask { try await future.value.count += 1 }
      try future.setResult(counter)
      try await loop.until { counter.count == 1 }
    }
  }

  @Test("an error that nobody asked for is reported when the future goes, with its place")
  func unreadError() throws {
    try withLoop { loop, kernel in
      let errors = loop.collectErrors()
      let line: UInt = #line + 2
      do {
        let future = Future<Int>(loop)
        try future.setError(TestError(number: 11))
        #expect(errors.contexts.isEmpty)
      }
      #expect(errors.contexts.count == 1)
      #expect(errors.contexts.first?.error as? TestError == TestError(number: 11))
      #expect(errors.contexts.first?.callSite?.line == line)
      #expect(errors.messages == ["the error of a future was never retrieved"])
    }
  }

  @Test("an error that was read, awaited or is a cancellation is not reported")
  func readError() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      do {
        let read = Future<Int>(loop)
        try read.setError(TestError(number: 12))
        _ = read.result
        let awaited = Future<Int>(loop)
        try awaited.setError(TestError(number: 13))
        _ = try? await awaited.value
        Future<Int>(loop).cancel()
        _ = Future<Int>(loop)
      }
      try await loop.sleep(for: .zero)
      #expect(errors.contexts.isEmpty)
    }
  }

  @Test("setting an outcome may be answered by more futures, callbacks and cancellations")
  func reentrant() throws {
    try withLoop { loop, kernel in
      let first = Future<Int>(loop)
      let second = Future<Int>(loop)
      var order: [String] = []
      first.addDoneCallback { done in
        done.addDoneCallback { _ in order.append("added by a callback") }
        try second.setResult(2)
        order.append("first")
      }
      second.addDoneCallback { _ in
        order.append("second"); loop.stop()
      }
      try first.setResult(1)
      try loop.runForever()
      #expect(order == ["first", "added by a callback", "second"])
    }
  }
}
