// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

/// What happens to a pool at the very moment when a thread's time without work is up. The test stands in for the wait,
/// whose end it so chooses.
@Suite struct IdleThreadTests {
  /// A pool whose idle threads call the test, with the pool and how often that was.
  private func makePool(
    limit: Int, _ wait: @escaping @Sendable (ThreadPoolExecutor, Int) -> Bool
  ) -> ThreadPoolExecutor {
    let known = Shared<ThreadPoolExecutor?>(nil)
    let calls = Shared(0)
    var options = WorkerThreads.Options(limit: limit, name: "idle")
    options.wait = {
      let number = calls.withLock { calls in
        calls += 1
        return calls
      }
      guard let pool = known.withLock({ $0 }) else { return true }
      let isTimeUp = wait(pool, number)
      // Else the pool would keep itself.
      if number > 1 { known.withLock { $0 = nil } }
      return isTimeUp
    }
    let pool = ThreadPoolExecutor(options)
    known.withLock { $0 = pool }
    return pool
  }

  @Test("a job that comes when the time is up is run by the thread that was about to go", arguments: [1, 2])
  func jobAtTheEnd(limit: Int) throws {
    let done = DispatchSemaphore(value: 0)
    let counts = Shared<[Int]>([])
    let pool = makePool(limit: limit) { pool, number in
      guard number == 1 else { return true }
      _ = try? pool.submit { done.signal() }
      // It is counted as idle, so that no other was made.
      counts.withLock { $0 = [pool.counts.threads, pool.counts.idle, pool.counts.queued] }
      return true
    }
    try pool.submit {}
    try arrives(done)
    #expect(counts.current == [1, 1, 1])
    try eventually("then it goes") { pool.counts.threads == 0 }
    #expect(pool.counts.idle == 0 && pool.counts.queued == 0)
  }

  @Test("of two jobs at the end, one gets a new thread") func jobsAtTheEnd() throws {
    let done = DispatchSemaphore(value: 0)
    let gate = Gate()
    let threads = Shared(0)
    let pool = makePool(limit: 5) { pool, number in
      guard number == 1 else { return true }
      for _ in 0..<2 {
        _ = try? pool.submit {
          gate.pass()
          done.signal()
        }
      }
      threads.withLock { $0 = pool.counts.threads }
      return true
    }
    try pool.submit {}
    try eventually { threads.current == 2 }
    gate.open()
    for _ in 0..<2 { try arrives(done) }
    try eventually { pool.counts.threads == 0 }
  }

  @Test("a shutdown at that moment is completed by the thread", arguments: [false, true])
  func shutdownAtTheEnd(isTimeUp: Bool) throws {
    let told = DispatchSemaphore(value: 0)
    let pool = makePool(limit: 1) { pool, _ in
      pool.shutdown(cancelPending: false) { told.signal() }
      return isTimeUp
    }
    try pool.submit {}
    try arrives(told)
    #expect(pool.counts.threads == 0)
  }

  @Test("a wake-up without a job is followed by another wait, and one after the time by the end") func nothingAtTheEnd()
    throws
  {
    let waits = Shared(0)
    let pool = makePool(limit: 1) { _, number in
      waits.withLock { $0 = number }
      return number == 2
    }
    try pool.submit {}
    try eventually { pool.counts.threads == 0 && waits.current == 2 }
  }
}
