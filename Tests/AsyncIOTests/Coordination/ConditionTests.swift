// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct ConditionTests {
  /// Tasks that wait for a notification, in order.
  private func waiters(_ count: Int, _ condition: Condition, _ loop: EventLoop, _ woken: Boxed<[Int]>) -> [LoopTask<
    Void
  >] {
    (0..<count).map { number in
      loop.createTask(eager: true) {
        try await condition.withLock {
          defer { #expect(condition.lock.isLocked, "the lock is held however the wait ends") }
          try await condition.wait()
          woken.value.append(number)
        }
      }
    }
  }

  @Test("a wait gives the lock to others; notify wakes so many, the longest waiting first, and notifyAll the rest")
  func notify() throws {
    try runLoop { loop, _ in
      let condition = Condition(loop)
      let woken = Boxed<[Int]>([])
      let tasks = waiters(6, condition, loop, woken)
      #expect(!condition.lock.isLocked)
      try await condition.withLock { condition.notify() }
      try await loop.turn()
      #expect(woken.value == [0])
      try await condition.withLock {
        condition.notify(2)
        condition.notify(0)
        try await loop.turn()
        #expect(woken.value == [0], "they need the lock")
      }
      try await loop.turn()
      #expect(woken.value == [0, 1, 2])
      try await condition.withLock { condition.notifyAll() }
      for task in tasks { try await task.value }
      #expect(woken.value == Array(0..<6) && !condition.lock.isLocked)
      try await condition.withLock { condition.notify(5) }
    }
  }

  @Test("a notification without a waiter is forgotten")
  func forgotten() throws {
    try runLoop { loop, _ in
      let condition = Condition(loop)
      try await condition.withLock { condition.notify() }
      let task = waiters(1, condition, loop, Boxed([]))[0]
      try await loop.turn()
      #expect(!task.isDone)
      task.cancel()
      #expect(await task.outcome.isCancellation)
    }
  }

  @Test("wait(until:) looks at the condition first, and after each notification")
  func until() throws {
    try runLoop { loop, _ in
      let condition = Condition(loop)
      var (value, looks) = (0, 0)
      let task = loop.createTask(eager: true) {
        try await condition.withLock {
          try await condition.wait(until: {
            looks += 1
            return value >= 2
          })
          return value
        }
      }
      for _ in 0..<3 {
        try await condition.withLock {
          value += 1
          condition.notify()
        }
        try await loop.turn()
      }
      #expect(try await task.value == 2)
      #expect(looks == 3)
      try await condition.withLock { try await condition.wait(until: { true }) }
    }
  }

  @Test("a cancelled wait has the lock again before it throws, and waits for it")
  func cancelledWait() throws {
    try runLoop { loop, _ in
      let condition = Condition(loop)
      let woken = Boxed<[Int]>([])
      let tasks = waiters(2, condition, loop, woken)
      try await condition.lock.acquire()
      tasks[0].cancel()
      try await loop.turn()
      #expect(!tasks[0].isDone, "it waits for the lock")
      condition.lock.release()
      #expect(await tasks[0].outcome.isCancellation)
      #expect(!condition.lock.isLocked && !tasks[1].isDone)
      try await condition.withLock { condition.notify() }
      try await tasks[1].value
    }
  }

  @Test("a notification of a task that is cancelled before it has the lock goes to the next", arguments: [false, true])
  func passedOn(whileItWaitsForTheLock: Bool) throws {
    try runLoop { loop, _ in
      let condition = Condition(loop)
      let woken = Boxed<[Int]>([])
      let tasks = waiters(3, condition, loop, woken)
      try await condition.withLock {
        condition.notify()
        if whileItWaitsForTheLock { try await loop.turn() }
        tasks[0].cancel()
      }
      #expect(await tasks[0].outcome.isCancellation)
      try await tasks[1].value
      #expect(woken.value == [1] && !tasks[2].isDone && !condition.lock.isLocked)
      tasks[2].cancel()
      #expect(await tasks[2].outcome.isCancellation)
    }
  }

  @Test("a task that is cancelled before it waits has kept the lock, and taken no notification")
  func cancelledBefore() throws {
    try runLoop { loop, _ in
      let condition = Condition(loop)
      let other = loop.createTask(eager: true) {
        try await condition.withLock {
          loop.currentTask?.cancel()
          let next = loop.createTask(eager: true) { try await condition.lock.acquire() }
          await #expect(throws: CancellationError.self) { try await condition.wait() }
          #expect(!next.isDone, "the lock was not given away")
          return next
        }
      }
      let next = try await other.value
      try await next.value
      condition.lock.release()
      #expect(!condition.lock.isLocked)
    }
  }

  @Test("conditions share a lock")
  func sharedLock() throws {
    try runLoop { loop, _ in
      let lock = Lock(loop)
      let (full, empty) = (Condition(loop, lock: lock), Condition(loop, lock: lock))
      var content: Int?
      let consumer = loop.createTask {
        var sum = 0
        for _ in 0..<10 {
          sum += try await lock.withLock {
            try await full.wait(until: { content != nil })
            defer { content = nil }
            empty.notify()
            return content ?? 0
          }
        }
        return sum
      }
      for number in 1...10 {
        try await lock.withLock {
          try await empty.wait(until: { content == nil })
          content = number
          full.notify()
        }
      }
      #expect(try await consumer.value == 55)
    }
  }
}
