// SPDX-License-Identifier: Apache-2.0

/// Waiting, inside of a lock, for others to change what it guards. asyncio's `Condition`.
///
/// It belongs to its loop's thread.
public final class Condition {
  private let loop: EventLoop
  /// The lock that has to be held for waiting and notifying. Several conditions may share one.
  public let lock: Lock
  private let waiting: Gate

  /// Makes a condition.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - lock: a lock of the same loop; nil for one of its own.
  public init(_ loop: EventLoop, lock: Lock? = nil) {
    self.loop = loop
    self.lock = lock ?? Lock(loop)
    require(self.lock.loop === loop, "Condition.init: the lock belongs to another loop")
    waiting = Gate(loop)
  }

  /// Runs the closure with the lock held. asyncio's `async with condition`.
  ///
  /// - Returns: what the closure returns.
  /// - Throws: what the closure throws; what ``Lock/acquire()`` does, and then the closure has not begun.
  public func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
    try await lock.withLock(body)
  }

  /// Gives the lock to others, waits for a notification, and takes the lock again. asyncio's `wait`.
  ///
  /// To call it without the lock is a programmer error.
  ///
  /// - Throws: `CancellationError` when the task is cancelled before it has the lock again, and so late: the lock is the
  ///   task's in any case. A notification that it had been given goes to the next that waits. A task that was cancelled
  ///   before throws at once, and has not let go of the lock. ``EventLoopError`` `.closed`.
  public func wait() async throws {
    loop.checkThread("Condition.wait")
    require(lock.isLocked, "Condition.wait: the lock is not held; call it inside withLock")
    var hasLetGo = false
    do {
      // In one go with the suspension: nobody can notify in between, and a task that cannot wait keeps the lock.
      try await waiting.wait("Condition.wait") {
        lock.handOn()
        hasLetGo = true
        return false
      }
    } catch {
      if hasLetGo { await lock.acquireRegardless() }
      throw error
    }
    await lock.acquireRegardless()
    if Task.isCancelled {
      waiting.wakeFirst()
      throw CancellationError()
    }
  }

  /// Waits until the condition is true, which is looked at now, and with the lock held after each notification. asyncio's
  /// `wait_for`.
  ///
  /// To call it without the lock is a programmer error.
  ///
  /// - Throws: as ``wait()``.
  public func wait(until isTrue: () -> Bool) async throws {
    loop.checkThread("Condition.wait")
    require(lock.isLocked, "Condition.wait: the lock is not held; call it inside withLock")
    while !isTrue() { try await wait() }
  }

  /// Wakes so many of those that wait, the one that has waited longest first; they go on once they have the lock. asyncio's
  /// `notify`.
  ///
  /// To call it without the lock is a programmer error.
  ///
  /// - Parameter count: how many at the most, zero or more.
  public func notify(_ count: Int = 1) {
    loop.checkThread("Condition.notify")
    require(lock.isLocked, "Condition.notify: the lock is not held; call it inside withLock")
    require(count >= 0, "Condition.notify: the number of tasks must not be below zero")
    var left = count
    while left > 0, waiting.wakeFirst() { left -= 1 }
  }

  /// Wakes all that wait, in order. asyncio's `notify_all`.
  ///
  /// To call it without the lock is a programmer error.
  public func notifyAll() {
    loop.checkThread("Condition.notifyAll")
    require(lock.isLocked, "Condition.notifyAll: the lock is not held; call it inside withLock")
    waiting.wakeAll()
  }
}
