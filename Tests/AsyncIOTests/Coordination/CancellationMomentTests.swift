// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// Every call that waits, cancelled at every moment: nothing is lost, and the next that waits is served.
@Suite("A call that waits and is cancelled") struct CancellationMomentTests {
  enum Moment: CaseIterable {
    case beforeItBegins, whileItWaits, inTheTickOfItsCompletion, fromAnotherThread
  }

  enum Method: CaseIterable {
    case lock, semaphore, boundedSemaphore, event, condition, put, get, iterate, join, broadcast, watch, watchUntil
  }

  private struct Subject {
    var call: () async throws -> Void
    /// Lets one call go on.
    var complete: () -> Void
    /// Whether a completion is for one call rather than for all.
    var isForOne = true
    /// Whether a call that could go on throws all the same, and passes on what was for it.
    var passesOn = false
    /// What is left when all calls have returned.
    var isClean: () -> Bool = { true }
  }

  private func subject(_ method: Method, _ loop: EventLoop) -> Subject {
    switch method {
    case .lock:
      let lock = Lock(loop)
      #expect(lock.tryAcquire())
      return Subject(call: { try await lock.acquire() }, complete: { lock.release() })
    case .semaphore, .boundedSemaphore:
      let semaphore = method == .semaphore ? Semaphore(loop) : BoundedSemaphore(loop)
      #expect(semaphore.tryAcquire())
      return Subject(
        call: { try await semaphore.acquire() }, complete: { semaphore.release() }, isClean: { semaphore.isLocked })
    case .event:
      let event = Event(loop)
      return Subject(call: { try await event.wait() }, complete: { event.set() }, isForOne: false)
    case .condition:
      let condition = Condition(loop)
      return Subject(
        call: { try await condition.withLock { try await condition.wait() } },
        complete: {
          #expect(condition.lock.tryAcquire())
          condition.notify()
          condition.lock.release()
        },
        passesOn: true, isClean: { !condition.lock.isLocked })
    case .put:
      let queue = Queue<Int>(loop, maxCount: 1)
      #expect(queue.tryPut(0))
      return Subject(
        call: { try await queue.put(1) }, complete: { #expect(queue.tryGet() != nil) }, isClean: { queue.count == 1 })
    case .get, .iterate:
      let queue = Queue<Int>(loop)
      return Subject(
        call: {
          if method == .get { _ = try await queue.get() } else { for try await _ in queue { break } }
        },
        complete: { #expect(queue.tryPut(1)) }, isClean: { queue.isEmpty })
    case .join:
      let queue = Queue<Int>(loop)
      #expect(queue.tryPut(1))
      return Subject(call: { try await queue.join() }, complete: { queue.taskDone() }, isForOne: false)
    case .broadcast:
      let broadcast = Broadcast<Int>(loop, capacity: 1)
      let subscription = broadcast.subscribe()
      return Subject(
        call: { _ = try await subscription.next() }, complete: { broadcast.send(1) },
        isClean: { subscription.tryNext() == nil })
    case .watch:
      let watch = Watch(loop, 0)
      let subscription = watch.subscribe()
      #expect(subscription.value == 0)
      return Subject(
        call: { _ = try await subscription.next() }, complete: { watch.value += 1 },
        isClean: { !subscription.hasChanged })
    case .watchUntil:
      let watch = Watch(loop, 0)
      return Subject(
        call: { try await watch.wait(until: { $0 == 1 }) }, complete: { watch.value = 1 }, isForOne: false)
    }
  }

  @Test("nothing is lost, and the next is served", arguments: Method.allCases, Moment.allCases)
  func moments(_ method: Method, _ moment: Moment) throws {
    try runLoop { loop, _ in
      let subject = subject(method, loop)
      let task = loop.createTask(eager: moment != .beforeItBegins) { try await subject.call() }
      if moment == .beforeItBegins { task.cancel() }
      try await loop.turn()
      #expect(task.isDone == (moment == .beforeItBegins))
      let next = loop.createTask(eager: true) { try await subject.call() }
      switch moment {
      case .beforeItBegins: break
      case .whileItWaits: task.cancel()
      case .inTheTickOfItsCompletion:
        subject.complete()
        task.cancel()
      case .fromAnotherThread:
        let remote = task.remote
        await TestThread { remote.cancel() }.ended()
      }
      let outcome = await task.outcome
      if moment == .inTheTickOfItsCompletion, !subject.passesOn {
        #expect(outcome.failure == nil, "what it waited for was its own already")
      } else {
        #expect(outcome.isCancellation)
      }
      // What one call did not take is there for the next.
      let needsAnother = moment != .inTheTickOfItsCompletion || subject.isForOne && !subject.passesOn
      try await loop.turn()
      #expect(next.isDone != needsAnother)
      if needsAnother { subject.complete() }
      try await next.value
      #expect(subject.isClean())
    }
  }
}
