// SPDX-License-Identifier: Apache-2.0

/// A number of permits, of which each task of a loop takes one: so many are at work at a time. asyncio's `Semaphore`.
///
/// It belongs to its loop's thread, and is strictly first come, first served: a permit that is given back belongs to the task
/// that has waited longest from that moment on, before it runs. While tasks wait there is no permit to be had.
public class Semaphore {
  fileprivate let loop: EventLoop
  fileprivate final var available: Int
  private let waiting: Gate

  /// Makes a semaphore.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - permits: how many there are at first, zero or more.
  public init(_ loop: EventLoop, permits: Int = 1) {
    require(permits >= 0, "Semaphore.init: the number of permits must not be below zero")
    self.loop = loop
    available = permits
    waiting = Gate(loop)
  }

  /// How many permits nobody has.
  public final var availablePermits: Int {
    loop.checkThread("Semaphore.availablePermits")
    return available
  }

  /// Whether a task that asks for a permit would have to wait. asyncio's `locked`.
  public final var isLocked: Bool {
    loop.checkThread("Semaphore.isLocked")
    return available == 0
  }

  /// Runs the closure with a permit, which is given back when it ends. asyncio's `async with semaphore`.
  ///
  /// Where there is a permit it neither suspends nor allocates; in code of the main actor the call may cost a hop.
  ///
  /// - Returns: what the closure returns.
  /// - Throws: what the closure throws; what ``acquire()`` does, and then the closure has not begun.
  public final func withPermit<Result>(_ body: () async throws -> Result) async throws -> Result {
    try await acquire()
    defer { release() }
    return try await body()
  }

  /// Waits for a permit, and takes it. asyncio's `acquire`.
  ///
  /// - Throws: `CancellationError` when the task is cancelled before it was given a permit, which then goes to the next. A
  ///   later cancellation is noticed by what the task awaits next, and the permit is its own. ``EventLoopError`` `.closed`.
  public final func acquire() async throws {
    loop.checkThread("Semaphore.acquire")
    if take() { return }
    try await waiting.wait("Semaphore.acquire", unless: take)
  }

  /// Takes a permit if there is one. asyncio has none.
  ///
  /// - Returns: whether it did, and the permit is to be released.
  public final func tryAcquire() -> Bool {
    loop.checkThread("Semaphore.tryAcquire")
    return take()
  }

  /// Gives a permit back, or a new one. asyncio's `release`.
  public func release() {
    loop.checkThread("Semaphore.release")
    // Whoever is woken has the permit: there is no moment at which another could take it.
    if !waiting.wakeFirst() { available += 1 }
  }

  private func take() -> Bool {
    if available == 0 { return false }
    available -= 1
    return true
  }
}

/// A semaphore that never has more permits than at first. asyncio's `BoundedSemaphore`.
public final class BoundedSemaphore: Semaphore {
  private let bound: Int

  /// Makes a semaphore.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - permits: how many there are, zero or more.
  public override init(_ loop: EventLoop, permits: Int = 1) {
    bound = permits
    super.init(loop, permits: permits)
  }

  /// Gives a permit back. asyncio's `release`.
  ///
  /// One more than was taken is a programmer error.
  public override func release() {
    loop.checkThread("BoundedSemaphore.release")
    require(
      available < bound,
      "BoundedSemaphore.release: all \(bound) permits are back already; release one for each acquire that has returned")
    super.release()
  }
}
