// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import Testing

@testable import AsyncIO

@Suite struct WorkerThreadsTests {
  @Test("a thread is made for each job that finds none idle, up to the limit")
  func growsToLimit() throws {
    let workers = WorkerThreads(limit: 3)
    let release = DispatchSemaphore(value: 0)
    let begun = DispatchSemaphore(value: 0)
    let ended = DispatchGroup()
    let peak = Shared((now: 0, most: 0, total: 0))
    for _ in 0..<8 {
      ended.enter()
      try workers.submit {
        peak.withLock {
          $0.now += 1
          $0.most = max($0.most, $0.now)
          $0.total += 1
        }
        begun.signal()
        release.wait()
        peak.withLock { $0.now -= 1 }
        ended.leave()
      }
    }
    for _ in 0..<3 { begun.wait() }
    #expect(peak.withLock { $0.total } == 3)
    for _ in 0..<8 { release.signal() }
    ended.wait()
    #expect(peak.withLock { $0.most } == 3)
    #expect(peak.withLock { $0.total } == 8)
  }

  @Test("an idle thread is used again, rather than another made") func reusesIdleThread() throws {
    let workers = WorkerThreads(limit: 1000)
    let seen = Shared<(threads: Set<UInt>, repeats: Int)>((threads: [], repeats: 0))
    // A thread is idle only a moment after its job has ended, so that not every round finds it so.
    for _ in 0..<500 where seen.withLock({ $0.repeats < 5 }) {
      let done = DispatchSemaphore(value: 0)
      try workers.submit {
        seen.withLock { seen in
          if !seen.threads.insert(ThreadIdentity.current.number).inserted { seen.repeats += 1 }
        }
        done.signal()
      }
      done.wait()
      sched_yield()
    }
    #expect(seen.withLock { $0.repeats } == 5)
  }

  @Test("jobs begin in order") func order() throws {
    let workers = WorkerThreads(limit: 1)
    let order = Shared<[Int]>([])
    let done = DispatchGroup()
    for number in 0..<200 {
      done.enter()
      try workers.submit {
        order.withLock { $0.append(number) }
        done.leave()
      }
    }
    done.wait()
    #expect(order.withLock { $0 } == Array(0..<200))
  }

  @Test("a job that hangs holds up no other") func hangingJob() throws {
    let workers = WorkerThreads(limit: 2)
    let release = DispatchSemaphore(value: 0)
    defer { release.signal() }
    try workers.submit { release.wait() }
    for _ in 0..<50 {
      let done = DispatchSemaphore(value: 0)
      try workers.submit { done.signal() }
      done.wait()
    }
  }

  @Test("a thread without work goes after a while, and the object with it") func goesWhenIdle() throws {
    let gone = DispatchSemaphore(value: 0)
    weak var observed: WorkerThreads?
    do {
      let workers = WorkerThreads(limit: 2, patience: 0)
      observed = workers
      try workers.submit { gone.signal() }
    }
    gone.wait()
    while observed != nil { sched_yield() }
    // A new one begins with no threads, and makes one again.
    let again = WorkerThreads(limit: 1, patience: 0)
    for _ in 0..<20 {
      let done = DispatchSemaphore(value: 0)
      try again.submit { done.signal() }
      done.wait()
    }
  }
}
