// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// The lock has no owner by name, so that the walk itself can give back what a call has got.
@Suite("A random walk with cancellations, beside a model: conditions")
struct ConditionWalkTests {
  private final class Model {
    enum Waiting {
      /// For the lock alone.
      case acquire(Walk<Int>.Call)
      /// For the lock, after a notification or a cancellation.
      case again(Walk<Int>.Call, wasNotified: Bool)
    }

    let walk: Walk<Int>
    var isHeld = false
    var line: [Waiting] = []
    var waiting: [Walk<Int>.Call] = []

    init(_ walk: Walk<Int>) { self.walk = walk }

    func acquire(_ call: Walk<Int>.Call) {
      if !isHeld {
        isHeld = true
        call.expected = .value(1)
      } else if call.isCancelled {
        call.expected = .cancelled
      } else {
        line.append(.acquire(call))
      }
    }

    func handOn() {
      guard !line.isEmpty else {
        isHeld = false
        return
      }
      switch line.removeFirst() {
      case .acquire(let call): call.expected = .value(1)
      case .again(let call, let wasNotified): walk.later { self.hasLock(call, wasNotified) }
      }
    }

    func wait(_ call: Walk<Int>.Call) {
      if !isHeld {
        call.expected = .value(0)
      } else if call.isCancelled {
        call.expected = .cancelled
      } else {
        waiting.append(call)
        handOn()
      }
    }

    func notify(_ count: Int) {
      for call in waiting.prefix(count) { walk.later { self.takeLock(call, wasNotified: true) } }
      waiting.removeFirst(min(count, waiting.count))
    }

    func cancel(_ call: Walk<Int>.Call) {
      if let place = waiting.firstIndex(where: { $0 === call }) {
        waiting.remove(at: place)
        walk.later { self.takeLock(call, wasNotified: false) }
      }
      let place = line.firstIndex { if case .acquire(let other) = $0 { other === call } else { false } }
      if let place {
        line.remove(at: place)
        call.expected = .cancelled
      }
    }

    private func takeLock(_ call: Walk<Int>.Call, wasNotified: Bool) {
      if isHeld {
        line.append(.again(call, wasNotified: wasNotified))
      } else {
        isHeld = true
        hasLock(call, wasNotified)
      }
    }

    private func hasLock(_ call: Walk<Int>.Call, _ wasNotified: Bool) {
      call.expected = call.isCancelled ? .cancelled : .value(1)
      if wasNotified, call.isCancelled { notify(1) }
    }
  }

  @Test("a condition", arguments: WalkLength.seeds)
  func condition(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let condition = Condition(loop)
      let lock = condition.lock
      let walk = Walk<Int>(loop, seed)
      let model = Model(walk)
      walk.onCancel = { model.cancel($0) }
      try await walk.run {
        switch walk.number(below: 12) {
        case 0...1:
          walk.call({
            try await lock.acquire()
            return 1
          }) { model.acquire($0) }
        case 2:
          #expect(lock.tryAcquire() == !model.isHeld, "seed \(seed)")
          model.isHeld = true
        case 3...5:
          guard model.isHeld else { return }
          lock.release()
          model.handOn()
        case 6...7:
          guard model.isHeld else { return }
          let count = walk.number(below: 3)
          condition.notify(count)
          model.notify(count)
        case 8 where walk.chance(of: 4):
          guard model.isHeld else { return }
          condition.notifyAll()
          model.notify(.max)
        default:
          walk.call({
            guard lock.isLocked else { return 0 }
            try await condition.wait()
            return 1
          }) { model.wait($0) }
        }
      } check: {
        lock.isLocked == model.isHeld ? nil : "isLocked is \(lock.isLocked)"
      }
      // Those that wait for the lock to end are let through.
      while loop.allTasks.count > 1 {
        if lock.isLocked { lock.release() }
        try await loop.turn(1)
      }
    }
  }
}
