// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

/// Threads that take the places of those which are stuck in jobs that nobody waits for.
@Suite struct AbandonedJobTests {
  /// A pool with one job that hangs in each of its threads.
  private final class StuckPool {
    let pool: ThreadPoolExecutor
    let gate = Gate()
    private(set) var hanging: [BlockingJob] = []
    private let begun = DispatchSemaphore(value: 0)

    init(limit: Int, spares: Int) throws {
      pool = ThreadPoolExecutor(WorkerThreads.Options(limit: limit, spares: spares, name: "test"))
      for _ in 0..<limit { try hang() }
    }

    deinit { gate.open() }

    /// One more job that hangs, and has begun.
    func hang() throws {
      hanging.append(try queue())
      try arrives(begun)
    }

    /// One more job that hangs, whenever it begins.
    func queue() throws -> BlockingJob {
      try pool.submit { [gate, begun] in
        begun.signal(); gate.pass()
      }
    }

    func waitForStart() throws { try arrives(begun) }
  }

  @Test("a job behind one that is abandoned is begun at once, also when it was queued before")
  func replaced() throws {
    let stuck = try StuckPool(limit: 2, spares: 5)
    let done = DispatchSemaphore(value: 0)
    try stuck.pool.submit { done.signal() }
    #expect(stuck.pool.counts == (2, 0, 1))
    #expect(!stuck.hanging[0].cancel(), "it runs on")
    try arrives(done)
    try eventually { stuck.pool.counts == (3, 1, 0) }
    try stuck.pool.submit { done.signal() }
    try arrives(done)
    #expect(stuck.pool.counts.threads == 3)
  }

  @Test("each abandoned job is replaced once, however often it is cancelled, up to the number of spare threads")
  func limits() throws {
    let stuck = try StuckPool(limit: 1, spares: 2)
    for number in 0..<2 {
      for _ in 0..<3 { stuck.hanging[number].cancel() }
      try stuck.hang()
      #expect(stuck.pool.counts.threads == number + 2)
    }
    let waiting = try stuck.queue()
    stuck.hanging[2].cancel()
    #expect(stuck.pool.counts == (3, 0, 1), "there is no spare thread left")
    #expect(waiting.cancel())
  }

  @Test("without spare threads the limit stands, whatever is abandoned")
  func noSpares() throws {
    let stuck = try StuckPool(limit: 1, spares: 0)
    let ran = Shared(false)
    try stuck.pool.submit { ran.withLock { $0 = true } }
    stuck.hanging[0].cancel()
    #expect(stuck.pool.counts == (1, 0, 1) && !ran.current)
    stuck.gate.open()
    stuck.pool.shutdown()
    #expect(ran.current)
  }

  @Test("when abandoned jobs end, the pool goes back to its limit, and keeps it")
  func backToLimit() throws {
    let stuck = try StuckPool(limit: 2, spares: 10)
    for number in 0..<6 {
      stuck.hanging[number].cancel()
      try stuck.hang()
    }
    #expect(stuck.pool.counts.threads == 8)
    stuck.gate.open()
    try eventually("the spare threads go") { stuck.pool.counts == (2, 2, 0) }
    let gate = Gate()
    for _ in 0..<5 { try stuck.pool.submit { gate.pass() } }
    try eventually { stuck.pool.counts == (2, 0, 3) }
    gate.open()
    stuck.pool.shutdown()
  }

  @Test("jobs that are abandoned in the moment in which they end leave the pool its limit, no more and no less")
  func race() throws {
    let pool = ThreadPoolExecutor(WorkerThreads.Options(limit: 2, spares: 50, name: "test"))
    for _ in 0..<2000 {
      let begun = DispatchSemaphore(value: 0)
      let job = try pool.submit { begun.signal() }
      try arrives(begun)
      job.cancel()
    }
    try eventually { pool.counts.idle == pool.counts.threads }
    let gate = Gate()
    for _ in 0..<6 { try pool.submit { gate.pass() } }
    try eventually { pool.counts == (2, 0, 4) }
    gate.open()
    pool.shutdown()
  }

  @Test("a shutdown waits for abandoned jobs as for the others")
  func shutdown() throws {
    let stuck = try StuckPool(limit: 1, spares: 1)
    stuck.hanging[0].cancel()
    try stuck.hang()
    let isDone = Shared(false)
    stuck.pool.shutdown(cancelPending: false) { isDone.withLock { $0 = true } }
    #expect(!isDone.current)
    stuck.gate.open()
    try eventually { isDone.current && stuck.pool.counts.threads == 0 }
  }
}
