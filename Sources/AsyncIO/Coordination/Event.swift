// SPDX-License-Identifier: Apache-2.0

/// Something that has happened, or not yet: a flag that tasks of a loop wait for. asyncio's `Event`.
///
/// It belongs to its loop's thread.
public final class Event {
  private let loop: EventLoop
  private var hasHappened = false
  private let waiting: Gate

  /// Makes an event that is not set.
  public init(_ loop: EventLoop) {
    self.loop = loop
    waiting = Gate(loop)
  }

  /// Whether it is set. asyncio's `is_set`.
  public var isSet: Bool {
    loop.checkThread("Event.isSet")
    return hasHappened
  }

  /// Sets it, and wakes all that wait, in order. asyncio's `set`.
  public func set() {
    loop.checkThread("Event.set")
    hasHappened = true
    waiting.wakeAll()
  }

  /// Unsets it: who waits from here on waits for the next ``set()``. asyncio's `clear`.
  public func clear() {
    loop.checkThread("Event.clear")
    hasHappened = false
  }

  /// Waits until it is set; not at all while it is. asyncio's `wait`.
  ///
  /// A task that was woken returns, although the event was cleared before it ran.
  ///
  /// - Throws: `CancellationError` when the task is cancelled before it was woken, which changes nothing for others;
  ///   ``EventLoopError`` `.closed`.
  public func wait() async throws {
    loop.checkThread("Event.wait")
    if hasHappened { return }
    try await waiting.wait("Event.wait") { hasHappened }
  }
}
