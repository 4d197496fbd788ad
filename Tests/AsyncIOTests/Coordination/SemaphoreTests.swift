// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct SemaphoreTests {
  @Test("no more tasks are inside than there are permits, in the order in which they came")
  func limit() throws {
    try runLoop { loop, _ in
      let semaphore = Semaphore(loop, permits: 3)
      var (inside, most) = (0, 0)
      var order: [Int] = []
      let tasks = (0..<20).map { number in
        loop.createTask {
          try await semaphore.withPermit {
            order.append(number)
            inside += 1
            most = max(most, inside)
            try await loop.turn(number % 3 + 1)
            inside -= 1
          }
        }
      }
      for task in tasks { try await task.value }
      #expect(most == 3 && order == Array(0..<20))
      #expect(semaphore.availablePermits == 3)
    }
  }

  @Test("a permit that is there is taken without a turn of the loop")
  func uncontended() throws {
    try runLoop { loop, _ in
      let semaphore = Semaphore(loop)
      let task = loop.createTask(eager: true) {
        try await semaphore.withPermit { semaphore.isLocked }
      }
      #expect(task.isDone)
      let wasLocked = try await task.value
      #expect(wasLocked && !semaphore.isLocked && semaphore.availablePermits == 1)
    }
  }

  @Test("a permit goes to who waits, not to a newcomer, in the same tick or by trying")
  func newcomers() throws {
    try runLoop { loop, _ in
      let semaphore = Semaphore(loop, permits: 0)
      let first = loop.createTask(eager: true) { try await semaphore.acquire() }
      let second = loop.createTask(eager: true) { try await semaphore.acquire() }
      #expect(!semaphore.tryAcquire())
      semaphore.release()
      #expect(semaphore.availablePermits == 0 && !semaphore.tryAcquire())
      semaphore.release()
      semaphore.release()
      #expect(semaphore.availablePermits == 1, "two are for those that wait")
      #expect(semaphore.tryAcquire())
      try await first.value
      try await second.value
      #expect(semaphore.isLocked)
    }
  }

  @Test("permits pass by those that were cancelled: none is lost, and none is made")
  func cancelled() throws {
    try runLoop { loop, _ in
      let semaphore = Semaphore(loop, permits: 0)
      let tasks = (0..<6).map { _ in loop.createTask(eager: true) { try await semaphore.acquire() } }
      tasks[0].cancel()
      semaphore.release()
      tasks[1].cancel()
      tasks[2].cancel()
      semaphore.release()
      for number in [0, 2] { #expect(await tasks[number].outcome.isCancellation) }
      for number in [1, 3] { try await tasks[number].value }
      tasks[4].cancel()
      tasks[5].cancel()
      semaphore.release()
      #expect(semaphore.availablePermits == 1)
      try await loop.turn()
      #expect(semaphore.availablePermits == 1)
    }
  }

  @Test("a bounded semaphore takes back what was taken")
  func bounded() throws {
    try runLoop { loop, _ in
      let semaphore = BoundedSemaphore(loop, permits: 2)
      try await semaphore.withPermit {
        #expect(semaphore.tryAcquire() && !semaphore.tryAcquire())
        let waiting = loop.createTask(eager: true) { try await semaphore.acquire() }
        semaphore.release()
        try await waiting.value
        #expect(semaphore.isLocked)
        semaphore.release()
      }
      #expect(semaphore.availablePermits == 2)
    }
  }
}
