// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

/// An executor of a user's own: what it does with jobs is up to the test.
final class CustomExecutor: BlockingExecutor {
  let onSubmit: @Sendable (BlockingJob) throws -> Void
  let shutdowns = Shared<[Bool]>([])

  init(_ onSubmit: @escaping @Sendable (BlockingJob) throws -> Void) { self.onSubmit = onSubmit }

  func submit(_ job: BlockingJob) throws { try onSubmit(job) }

  func shutdown(cancelPending: Bool, whenDone: @escaping @Sendable () -> Void) {
    shutdowns.withLock { $0.append(cancelPending) }
    whenDone()
  }
}

@Suite struct RunInExecutorTests {
  @Test("the work runs on another thread, and gives its value or its error") func valueAndError() throws {
    try runLoop { loop, _ in
      let own = ThreadIdentity.current
      let other = try await loop.runInExecutor { ThreadIdentity.current }
      #expect(other != own && ThreadIdentity.current == own)
      let pool = ThreadPoolExecutor(maxWorkers: 1, threadNamePrefix: "named")
      #expect(try await loop.runInExecutor(pool) { threadName() } == "named_0")
      let error = await thrown { try await loop.runInExecutor { throw TestError(number: 55) } }
      #expect(error as? TestError == TestError(number: 55))
      #expect(try await loop.runInExecutor { () -> Int? in nil } == nil)
    }
  }

  @Test("what is sent in and what comes back need not be Sendable") func sending() throws {
    final class Basket { var items: [String] = [] }
    try runLoop { loop, _ in
      let basket = Basket()
      basket.items.append("in")
      let result = try await loop.runInExecutor {
        basket.items.append("there")
        return basket
      }
      result.items.append("back")
      #expect(result.items == ["in", "there", "back"])
    }
  }

  @Test("the thread lets go of the work before its result arrives: the two may share something")
  func releasedBefore() throws {
    final class Part { var value = 0 }
    final class Whole {
      let part = Part()
      let releasedBy: Shared<ThreadIdentity?>
      init(_ releasedBy: Shared<ThreadIdentity?>) { self.releasedBy = releasedBy }
      deinit { releasedBy.withLock { $0 = .current } }
    }
    try runLoop { loop, _ in
      for _ in 0..<300 {
        let releasedBy = Shared<ThreadIdentity?>(nil)
        func runOnce() async throws -> (part: Part, wasReleased: Bool) {
          let whole = Whole(releasedBy)
          let part = try await loop.runInExecutor { whole.part }
          return (part, releasedBy.current != nil)
        }
        let (part, wasReleased) = try await runOnce()
        // Else it was this function that still held it.
        if !wasReleased { #expect(releasedBy.current == .current) }
        part.value += 1
      }
    }
  }

  @Test("the loop turns while the work blocks") func loopIsFree() throws {
    try runLoop { loop, _ in
      let gate = Gate()
      let task = loop.createTask { try await loop.runInExecutor { gate.pass() } }
      var turns = 0
      for _ in 0..<50 {
        try await loop.sleep(for: .zero)
        turns += 1
      }
      loop.callSoon { gate.open() }
      try await task.value
      #expect(turns == 50)
    }
  }

  @Test("cancelling does not interrupt work that runs; the task goes on at once, the late answer is dropped")
  func cancelRunning() throws {
    try runLoop { loop, _ in
      let gate = Gate()
      let log = Shared<[String]>([])
      let task = loop.createTask {
        try await loop.runInExecutor {
          log.withLock { $0.append("begun") }
          gate.pass()
          log.withLock { $0.append("ended") }
        }
      }
      try await loop.until { log.current == ["begun"] }
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      #expect(log.current == ["begun"])
      gate.open()
      try await loop.until { log.current == ["begun", "ended"] }
      // The thread is good for more.
      #expect(try await loop.runInExecutor { 1 } == 1)
    }
  }

  @Test("work that has not begun when it is cancelled never does, and is released") func cancelPending() throws {
    try runLoop { loop, _ in
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      let gate = Gate()
      let log = Shared<[String]>([])
      let blocker = loop.createTask { try await loop.runInExecutor(pool) { gate.pass() } }
      let cancelled = loop.createTask {
        let probe = ReleaseProbe { log.withLock { $0.append("released") } }
        try await loop.runInExecutor(pool) {
          probe.touch()
          log.withLock { $0.append("cancelled one ran") }
        }
      }
      let kept = loop.createTask { try await loop.runInExecutor(pool) { log.withLock { $0.append("kept one ran") } } }
      try await loop.until { pool.counts.queued == 2 }
      cancelled.cancel()
      #expect(await thrown { try await cancelled.value } is CancellationError)
      #expect(log.current == ["released"])
      gate.open()
      try await blocker.value
      try await kept.value
      #expect(log.current == ["released", "kept one ran"])
    }
  }

  @Test("a task that was cancelled before hands nothing in") func cancelledBefore() throws {
    try runLoop { loop, _ in
      let jobs = Shared(0)
      let executor = CustomExecutor { job in
        jobs.withLock { $0 += 1 }
        job.run()
      }
      let task = loop.createTask { try await loop.runInExecutor(executor) {} }
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      #expect(jobs.current == 0)
    }
  }

  @Test("work of one thread is done in the order of the calls") func order() throws {
    try runLoop { loop, _ in
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      let order = Shared<[Int]>([])
      let tasks = (0..<100).map { number in
        loop.createTask { try await loop.runInExecutor(pool) { order.withLock { $0.append(number) } } }
      }
      for task in tasks { try await task.value }
      #expect(order.current == Array(0..<100))
    }
  }

  @Test("ten thousand calls at once, a part of them cancelled") func many() throws {
    try runLoop { loop, _ in
      let pool = ThreadPoolExecutor(maxWorkers: 4)
      let tasks = (0..<10_000).map { number in
        loop.createTask { try await loop.runInExecutor(pool) { number } }
      }
      try await loop.sleep(for: .zero)
      for number in stride(from: 0, to: 10_000, by: 7) { tasks[number].cancel() }
      for (number, task) in tasks.enumerated() {
        do {
          #expect(try await task.value == number)
        } catch {
          #expect(error is CancellationError && number % 7 == 0)
        }
      }
    }
  }

  @Test("work that outlives its loop makes no call into it") func outlivesLoop() throws {
    let gate = Gate()
    let ended = DispatchSemaphore(value: 0)
    let pool = ThreadPoolExecutor(maxWorkers: 1)
    var wentOn = false
    try withLoop { loop, _ in
      loop.createTask {
        try await loop.runInExecutor(pool) {
          gate.pass()
        }
        wentOn = true
      }
      loop.createTask {
        while pool.counts.threads == 0 { try await loop.sleep(for: .zero) }
        loop.stop()
      }
      try loop.runForever()
      loop.close()
    }
    gate.open()
    try pool.submit { ended.signal() }
    try arrives(ended)
    pool.shutdown()
    #expect(!wentOn)
  }

  @Test("an executor of one's own may run the work anywhere") func customExecutors() throws {
    try runLoop { loop, _ in
      let inline = CustomExecutor { $0.run() }
      #expect(try await loop.runInExecutor(inline) { 1 } == 1)
      let queued = CustomExecutor { job in DispatchQueue.global().async { job.run() } }
      #expect(try await loop.runInExecutor(queued) { 2 } == 2)
      let twice = CustomExecutor { job in
        DispatchQueue.global().async { job.run() }
        DispatchQueue.global().async { job.run() }
      }
      let count = Shared(0)
      try await loop.runInExecutor(twice) { count.withLock { $0 += 1 } }
      #expect(count.current == 1)
    }
  }

  @Test("an executor that refuses work says why, one that drops or cancels it ends the wait") func uselessExecutors()
    throws
  {
    try runLoop { loop, _ in
      let refusing = CustomExecutor { _ in throw TestError(number: 3) }
      #expect(await thrown { try await loop.runInExecutor(refusing) {} } as? TestError == TestError(number: 3))
      let dropping = CustomExecutor { _ in }
      #expect(await thrown { try await loop.runInExecutor(dropping) {} } is CancellationError)
      let cancelling = CustomExecutor { job in DispatchQueue.global().async { job.cancel() } }
      #expect(await thrown { try await loop.runInExecutor(cancelling) {} } is CancellationError)
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      pool.shutdown()
      #expect(await thrown { try await loop.runInExecutor(pool) {} } as? EventLoopError == .executorShutDown)
    }
  }

  @Test("a shutdown of the pool that cancels what is pending ends its awaits") func shutdownWhileAwaited() throws {
    try runLoop { loop, _ in
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      let gate = Gate()
      let first = loop.createTask { try await loop.runInExecutor(pool) { gate.pass() } }
      let second = loop.createTask { try await loop.runInExecutor(pool) {} }
      try await loop.until { pool.counts.queued == 1 && pool.counts.threads == 1 }
      pool.shutdown(wait: false, cancelPending: true)
      #expect(await thrown { try await second.value } is CancellationError)
      gate.open()
      try await first.value
    }
  }

  @Test("no thread to be had is the call's error") func noThread() throws {
    try runLoop { loop, _ in
      let pool = ThreadPoolExecutor(maxWorkers: 1, patience: 0) { .resourceTemporarilyUnavailable }
      let error = try await ioError { try await loop.runInExecutor(pool) {} }
      #expect(error == IOError(.resourceTemporarilyUnavailable, "pthread_create"))
    }
  }

  @Test("on a closed loop it throws") func closedLoop() throws {
    let closed = try EventLoop(kernel: TestKernel())
    closed.close()
    try runLoop { _, _ in
      #expect(await thrown { try await closed.runInExecutor {} } as? EventLoopError == .closed)
      #expect(closed.defaultExecutor == nil)
    }
  }
}
