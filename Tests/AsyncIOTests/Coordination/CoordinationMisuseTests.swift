// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// Misuse that ends the program, with a sentence that says what to do. Each test is a process of its own.
@Suite struct CoordinationMisuseTests {
  enum Mistake: String, CaseIterable, Codable, Sendable {
    case lockRelease = "Lock.release: nobody holds the lock"
    case boundedRelease = "BoundedSemaphore.release: all 2 permits are back already"
    case conditionNotify = "Condition.notify: the lock is not held"
    case conditionNotifyAll = "Condition.notifyAll: the lock is not held"
    case conditionWait = "Condition.wait: the lock is not held"
    case foreignLock = "Condition.init: the lock belongs to another loop"
    case taskDone = "Queue.taskDone: called more often than elements were put"
    case maxCount = "Queue.init: maxCount must be above zero"
    case permits = "Semaphore.init: the number of permits must not be below zero"
    case parties = "Barrier.init: the number of parties must be above zero"
    case capacity = "Broadcast.init: the capacity must be above zero"
    case foreignThread = "Queue.tryPut: called from another thread than the loop's own; use loop.remote"
  }

  @Test("a programmer's mistake ends the process with a sentence", arguments: Mistake.allCases)
  func mistakes(_ mistake: Mistake) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [mistake = mistake as Mistake] in
      try runLoop { loop, _ in
        switch mistake {
        case .lockRelease:
          let lock = Lock(loop)
          #expect(lock.tryAcquire())
          lock.release()
          lock.release()
        case .boundedRelease:
          let semaphore = BoundedSemaphore(loop, permits: 2)
          try await semaphore.withPermit {}
          semaphore.release()
        case .conditionNotify: Condition(loop).notify()
        case .conditionNotifyAll: Condition(loop).notifyAll()
        case .conditionWait: try await Condition(loop).wait(until: { true })
        case .foreignLock: _ = Condition(loop, lock: Lock(try EventLoop()))
        case .taskDone:
          let queue = Queue<Int>(loop)
          try await queue.put(1)
          queue.taskDone()
          queue.taskDone()
        case .maxCount: _ = Queue<Int>(loop, maxCount: 0)
        case .permits: _ = Semaphore(loop, permits: -1)
        case .parties: _ = Barrier(loop, parties: 0)
        case .capacity: _ = Broadcast<Int>(loop, capacity: 0)
        case .foreignThread:
          let leaked = LoopBound(Queue<Int>(loop))
          TestThread { _ = leaked.value.tryPut(1) }.join()
        }
      }
    }
    guard let result else { return }
    #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains(mistake.rawValue))
  }
}
