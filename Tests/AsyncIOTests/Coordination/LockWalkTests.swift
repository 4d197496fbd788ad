// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Random walks with cancellations, beside a model: locks, semaphores, events, barriers")
struct LockWalkTests {
  @Test("a lock", arguments: WalkLength.seeds)
  func lock(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let lock = Lock(loop)
      let walk = Walk<Int>(loop, seed)
      var isHeld = false
      let line = walk.line()
      try await walk.run {
        switch walk.number(below: 8) {
        case 0...2:
          walk.call({
            try await lock.acquire()
            return 1
          }) { call in
            if !isHeld {
              isHeld = true
              call.expected = .value(1)
            } else {
              line.wait(call)
            }
          }
        case 3:
          #expect(lock.tryAcquire() == !isHeld, "seed \(seed)")
          isHeld = true
        default:
          guard isHeld else { return }
          lock.release()
          if !line.admitFirst(1) { isHeld = false }
        }
      } check: {
        lock.isLocked == isHeld ? nil : "isLocked is \(lock.isLocked)"
      }
    }
  }

  @Test("a semaphore", arguments: WalkLength.seeds, [false, true])
  func semaphore(_ seed: UInt64, isBounded: Bool) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let semaphore = isBounded ? BoundedSemaphore(loop, permits: 3) : Semaphore(loop, permits: 3)
      let walk = Walk<Int>(loop, seed)
      var permits = 3
      var taken = 0
      let line = walk.line()
      try await walk.run {
        switch walk.number(below: 8) {
        case 0...2:
          walk.call({
            try await semaphore.acquire()
            return 1
          }) { call in
            if permits > 0 {
              permits -= 1
              taken += 1
              call.expected = .value(1)
            } else {
              line.wait(call)
            }
          }
        case 3:
          let isThere = permits > 0
          #expect(semaphore.tryAcquire() == isThere, "seed \(seed)")
          if isThere {
            permits -= 1
            taken += 1
          }
        default:
          guard taken > 0 else { return }
          semaphore.release()
          if !line.admitFirst(1) {
            taken -= 1
            permits += 1
          }
        }
      } check: {
        if semaphore.isLocked != (permits == 0) { return "isLocked is \(semaphore.isLocked)" }
        return semaphore.availablePermits == permits ? nil : "\(semaphore.availablePermits) permits, not \(permits)"
      }
    }
  }

  @Test("an event", arguments: WalkLength.seeds)
  func event(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let event = Event(loop)
      let walk = Walk<Int>(loop, seed)
      var isSet = false
      let line = walk.line()
      try await walk.run {
        switch walk.number(below: 8) {
        case 0:
          event.set()
          isSet = true
          line.end(.value(1))
        case 1...2:
          event.clear()
          isSet = false
        default:
          walk.call({
            try await event.wait()
            return 1
          }) { call in
            if isSet {
              call.expected = .value(1)
            } else {
              line.wait(call)
            }
          }
        }
      } check: {
        event.isSet == isSet ? nil : "isSet is \(event.isSet)"
      }
    }
  }

  @Test("a barrier", arguments: WalkLength.seeds)
  func barrier(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let walk = Walk<Int>(loop, seed)
      let parties = walk.number(below: 5) + 1
      let barrier = Barrier(loop, parties: parties)
      var isBroken = false
      let line = walk.line()
      func end() {
        line.end(.error(.brokenBarrier))
      }
      try await walk.run {
        switch walk.number(below: 24) {
        case 0:
          barrier.abort()
          isBroken = true
          end()
        case 1...3:
          barrier.reset()
          isBroken = false
          end()
        default:
          walk.call({ try await barrier.wait() }) { call in
            if isBroken {
              call.expected = .error(.brokenBarrier)
            } else if line.calls.count == parties - 1 {
              for (position, other) in (line.calls + [call]).enumerated() { other.expected = .value(position) }
              line.calls.removeAll()
            } else {
              line.wait(call)
            }
          }
        }
      } check: {
        if barrier.isBroken != isBroken { return "isBroken is \(barrier.isBroken)" }
        return barrier.waitingCount == line.calls.count ? nil : "\(barrier.waitingCount) wait, not \(line.calls.count)"
      }
    }
  }
}
