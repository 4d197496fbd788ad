// SPDX-License-Identifier: Apache-2.0

/// A lock for the tasks of a loop: one at a time holds it. asyncio's `Lock`.
///
/// ```swift
/// let lock = Lock(loop)
/// try await lock.withLock { try await connection.exchange(request) }
/// ```
///
/// Nothing happens between two lines without an `await`: only what has to stay whole over an `await` needs a lock. It belongs
/// to its loop's thread, and is strictly first come, first served: a release hands it to the task that has waited longest,
/// which owns it from that moment on, before it runs. Nobody comes in between, and a lock for which tasks wait is never free.
public final class Lock {
  let loop: EventLoop
  private var isHeld = false
  private let waiting: Gate

  /// Makes a lock that nobody holds.
  public init(_ loop: EventLoop) {
    self.loop = loop
    waiting = Gate(loop)
  }

  /// Whether a task holds it. asyncio's `locked`.
  public var isLocked: Bool {
    loop.checkThread("Lock.isLocked")
    return isHeld
  }

  /// Runs the closure with the lock held. asyncio's `async with lock`.
  ///
  /// Where nobody holds the lock it neither suspends nor allocates; in code of the main actor the call may cost a hop. It is
  /// given back when the closure ends, however it does.
  ///
  /// - Returns: what the closure returns.
  /// - Throws: what the closure throws; what ``acquire()`` does, and then the closure has not begun.
  public func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
    try await acquire()
    defer { release() }
    return try await body()
  }

  /// Waits for the lock, and takes it; at once when nobody holds it. asyncio's `acquire`.
  ///
  /// Every call that returns is to be followed by a ``release()``. To ask for it while holding it is to wait for ever.
  ///
  /// - Throws: `CancellationError` when the task is cancelled before it was given the lock, which then passes it by. A later
  ///   cancellation is noticed by what the task awaits next, and the lock is its own. ``EventLoopError`` `.closed`.
  public func acquire() async throws {
    loop.checkThread("Lock.acquire")
    if take() { return }
    try await waiting.wait("Lock.acquire", unless: take)
  }

  /// Takes the lock if nobody holds it. asyncio has none.
  ///
  /// - Returns: whether it did, and the lock is to be released.
  public func tryAcquire() -> Bool {
    loop.checkThread("Lock.tryAcquire")
    return take()
  }

  /// Gives the lock to the task that has waited longest, or to whoever comes. asyncio's `release`.
  ///
  /// Any task of the loop may. To release a lock that nobody holds is a programmer error.
  public func release() {
    loop.checkThread("Lock.release")
    require(isHeld, "Lock.release: nobody holds the lock; release it once for each acquire that has returned")
    handOn()
  }

  /// Waits for the lock in a task that must not go on without it, cancelled or not.
  func acquireRegardless() async {
    if !take() { await waiting.waitRegardless((), unless: take) }
  }

  func handOn() {
    // Whoever is woken holds it: there is no moment at which another could take it.
    if !waiting.wakeFirst() { isHeld = false }
  }

  private func take() -> Bool {
    if isHeld { return false }
    isHeld = true
    return true
  }
}
