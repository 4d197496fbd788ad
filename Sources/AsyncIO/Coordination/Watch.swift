// SPDX-License-Identifier: Apache-2.0

/// A value of which only the newest counts, such as a configuration, and of which tasks see that it has changed. asyncio has
/// none; tokio's `watch`.
///
/// ```swift
/// let level = Watch(loop, 1)
/// loop.createTask { for try await value in level.subscribe() { print(value) } }
/// level.value = 2
/// ```
///
/// It belongs to its loop's thread. The value need not be `Sendable`.
public final class Watch<Value> {
  fileprivate let loop: EventLoop
  private var current: Value
  /// How often it was set; what subscribers compare.
  fileprivate private(set) var version = 0
  private var wasShutDown = false
  private let waiting: Gate

  /// Makes one with its first value.
  public init(_ loop: EventLoop, _ value: Value) {
    self.loop = loop
    current = value
    waiting = Gate(loop)
  }

  /// The newest value. To set it wakes those that wait for a change, also when it is the same again.
  public var value: Value {
    get {
      loop.checkThread("Watch.value")
      return current
    }
    set {
      loop.checkThread("Watch.value")
      // Let go of at the end, since a value may call back when it goes.
      let previous = current
      current = newValue
      version += 1
      waiting.wakeAll()
      withExtendedLifetime(previous) {}
    }
  }

  /// Ends the sequences of all subscribers behind the newest value.
  public func shutdown() {
    loop.checkThread("Watch.shutdown")
    wasShutDown = true
    waiting.wakeAll()
  }

  /// Waits until the condition holds of the newest value; not at all when it does.
  ///
  /// The condition sees the value whenever the task is its turn: one that is replaced before that is not seen.
  ///
  /// - Returns: the value.
  /// - Throws: ``EventLoopError`` `.queueShutDown` when it does not hold and ``shutdown()`` was called. `CancellationError` when the
  ///   task is cancelled while it waits, which changes nothing for others. ``EventLoopError`` `.closed`.
  @discardableResult
  public func wait(until condition: (Value) -> Bool) async throws -> Value {
    loop.checkThread("Watch.wait")
    while !condition(current) {
      if wasShutDown { throw EventLoopError(.queueShutDown, "Watch.wait: the watch was shut down") }
      let seen = version
      try await waiting.wait("Watch.wait") { version != seen || wasShutDown }
    }
    return current
  }

  /// Sees changes from here on; the present value is the first.
  public func subscribe() -> Subscription {
    loop.checkThread("Watch.subscribe")
    return Subscription(self)
  }

  /// What one subscriber sees: the newest value, whenever there is a newer one than it has seen. Get it from
  /// ``Watch/subscribe()``.
  ///
  /// It belongs to its loop's thread.
  public final class Subscription: AsyncSequence {
    private let watch: Watch
    /// The version of the value that it has seen; below zero before the first.
    private var seen = -1

    fileprivate init(_ watch: Watch) { self.watch = watch }

    /// Whether there is a value that it has not seen.
    public var hasChanged: Bool {
      watch.loop.checkThread("Watch.hasChanged")
      return watch.version != seen
    }

    /// The newest value, which counts as seen from here on.
    public var value: Value {
      watch.loop.checkThread("Watch.value")
      seen = watch.version
      return watch.current
    }

    /// Waits until there is a value that it has not seen, and returns the newest.
    ///
    /// - Returns: the value; nil when there is none and ``Watch/shutdown()`` was called.
    /// - Throws: `CancellationError` when the task is cancelled while it waits: a change is seen by the next call.
    ///   ``EventLoopError`` `.closed`.
    public func next() async throws -> Value? {
      while !hasChanged {
        if watch.wasShutDown { return nil }
        try await watch.waiting.wait("Watch.next") { hasChanged || watch.wasShutDown }
      }
      return value
    }

    /// Sees changes.
    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let subscription: Subscription

      /// Waits for a value that was not seen, as ``Watch/Subscription/next()`` does.
      public mutating func next() async throws -> Value? { try await subscription.next() }

      /// Waits for a value that was not seen, as ``Watch/Subscription/next()`` does.
      public mutating func next(isolation actor: (any Actor)?) async throws -> Value? {
        try await subscription.next()
      }
    }

    /// Iterates over the newest values: the present one, and then each that it finds when it comes.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }
  }
}
