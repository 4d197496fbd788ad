// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// The tasks that wait for one thing, in the order in which they came. Whatever in the library several may wait for, they wait
/// for here.
///
/// Whoever opens the gate makes its state consistent first: a woken task runs later, but a condition is looked at by whoever
/// comes meanwhile.
final class Gate {
  private unowned let loop: EventLoop
  /// Those that were cancelled stay until their turn comes, or a purge.
  private var waiters = Deque<Waiter>()
  /// How many there may be before those that were cancelled are looked for.
  private var purgeLimit = Gate.leastPurgeLimit

  private static let leastPurgeLimit = 16

  init(_ loop: EventLoop) { self.loop = loop }

  /// Whether nobody waits.
  var isEmpty: Bool {
    while let first = waiters.first, !first.isSuspended { waiters.removeFirst() }
    return waiters.isEmpty
  }

  /// How many wait.
  var count: Int { waiters.count { $0.isSuspended } }

  /// Suspends the calling task until it is woken, once, unless it need not wait.
  ///
  /// - Parameters:
  ///   - method: the public call that waits, for its errors.
  ///   - isOpen: looked at in one go with the suspension, since the task may have hopped on its way here.
  /// - Throws: `CancellationError` when the task is cancelled before it is woken; what it is woken with.
  func wait(_ method: StaticString, unless isOpen: () -> Bool = { false }) async throws {
    try await loop.wait(method) { waiter in
      if isOpen() { waiter.resume() } else { append(waiter) }
    }
  }

  /// Suspends the calling task until the condition holds, however often it is woken before.
  func waitUntil(_ method: StaticString, _ condition: () -> Bool) async throws {
    while !condition() { try await wait(method, unless: condition) }
  }

  /// The same in a task that is cancelled already, and whose cancellation changes nothing here.
  func waitRegardless(until condition: () -> Bool) async {
    while !condition() {
      let waiter = Waiter()
      try? await waiter.suspend {
        if condition() { waiter.resume() } else { append(waiter) }
      }
    }
  }

  /// Wakes the one that has waited longest.
  ///
  /// - Returns: whether there was one. What it waited for is its own then: a cancellation that comes now is too late.
  @discardableResult
  func wakeFirst(_ result: Result<Void, any Error> = .success(())) -> Bool {
    while let first = waiters.popFirst() {
      if first.resume(result) { return true }
    }
    return false
  }

  /// Wakes all, in order.
  func wakeAll(_ result: Result<Void, any Error> = .success(())) {
    let woken = waiters
    waiters.removeAll()
    for waiter in woken { waiter.resume(result) }
  }

  private func append(_ waiter: Waiter) {
    if waiters.count >= purgeLimit {
      waiters.removeAll { !$0.isSuspended }
      purgeLimit = max(Gate.leastPurgeLimit, 2 * waiters.count)
    }
    waiters.append(waiter)
  }
}
