// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct LockTests {
  /// What no compiler lets out of its region.
  private final class Local {}

  @Test("one task at a time is inside, in the order in which they came, and all come in")
  func exclusion() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      var inside = 0
      var order: [Int] = []
      let tasks = (0..<20).map { number in
        loop.createTask {
          try await lock.withLock {
            inside += 1
            #expect(inside == 1)
            try await loop.turn(2)
            order.append(number)
            inside -= 1
          }
        }
      }
      for task in tasks { try await task.value }
      #expect(order == Array(0..<20))
      #expect(!lock.isLocked)
    }
  }

  @Test("a lock that nobody holds is taken without a turn of the loop, and the closure's result need not be sendable")
  func uncontended() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      let local = Local()
      let task = loop.createTask(eager: true) {
        try await lock.withLock {
          #expect(lock.isLocked)
          return local
        }
      }
      #expect(task.isDone, "it did not suspend")
      let result = try await task.value
      #expect(result === local)
      #expect(!lock.isLocked)
    }
  }

  @Test("an error of the closure gives the lock back")
  func closureThrows() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      await #expect(throws: TestError(number: 1)) { try await lock.withLock { throw TestError(number: 1) } }
      #expect(!lock.isLocked)
    }
  }

  @Test("a released lock belongs to who waits from that moment on: no newcomer gets in, in the same tick or by trying")
  func handOver() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      #expect(lock.tryAcquire() && lock.isLocked)
      #expect(!lock.tryAcquire())
      var order: [Int] = []
      let first = loop.createTask(eager: true) {
        try await lock.acquire()
        order.append(1)
      }
      lock.release()
      #expect(lock.isLocked && !lock.tryAcquire() && !first.isDone)
      let second = loop.createTask(eager: true) {
        try await lock.acquire()
        order.append(2)
      }
      try await first.value
      #expect(!second.isDone)
      lock.release()
      try await second.value
      lock.release()
      #expect(order == [1, 2] && !lock.isLocked)
    }
  }

  @Test("the lock passes by all that were cancelled while they waited, in the tick of the release too")
  func cancelledWaiters() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      try await lock.acquire()
      let tasks = (0..<5).map { _ in loop.createTask(eager: true) { try await lock.acquire() } }
      tasks[0].cancel()
      tasks[2].cancel()
      lock.release()
      // It was given to the second: too late for its cancellation, and in time for that of the fourth.
      tasks[1].cancel()
      tasks[3].cancel()
      #expect(await tasks[1].outcome.failure == nil)
      for number in [0, 2, 3] { #expect(await tasks[number].outcome.isCancellation) }
      #expect(!tasks[4].isDone)
      lock.release()
      try await tasks[4].value
      lock.release()
      #expect(!lock.isLocked)
    }
  }

  @Test("a task that is given the lock and cancelled in one tick goes in, hears of it at its next wait, and gives back")
  func cancelledOwner() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      try await lock.acquire()
      var wasInside = false
      let task = loop.createTask(eager: true) {
        try await lock.withLock {
          wasInside = true
          try await loop.sleep(for: .seconds(1000))
        }
      }
      lock.release()
      task.cancel()
      #expect(await task.outcome.isCancellation)
      #expect(wasInside && !lock.isLocked)
    }
  }

  @Test("cancellations from other threads leave the lock whole")
  func otherThreads() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      var inside = 0
      for _ in 0..<50 {
        let tasks = (0..<8).map { _ in
          loop.createTask {
            try await lock.withLock {
              inside += 1
              #expect(inside == 1)
              defer { inside -= 1 }
              try await loop.turn(1)
            }
          }
        }
        let remotes = tasks.map(\.remote)
        let canceller = TestThread { for remote in remotes.reversed() { remote.cancel() } }
        for task in tasks { _ = await task.outcome }
        await canceller.ended()
        #expect(!lock.isLocked && inside == 0)
      }
    }
  }

  @Test("children of a task, which are none of the loop's own, wait and are cancelled as well")
  func childTasks() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      try await lock.acquire()
      let task = loop.createTask {
        // The compiler does not know that the child stays on the loop's thread.
        let bound = LoopBound(lock)
        async let child: Void = bound.value.acquire()
        try await child
      }
      try await loop.turn()
      task.cancel()
      #expect(await task.outcome.isCancellation)
      lock.release()
      #expect(!lock.isLocked)
    }
  }

  @Test("waiting on a closed loop is an error, and taking a free lock is not")
  func closed() throws {
    let loop = try EventLoop()
    let lock = Lock(loop)
    loop.close()
    #expect(lock.tryAcquire())
    lock.release()
    #expect(!lock.isLocked)
  }
}
