// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// What is sent here is received by every subscriber. asyncio has none; tokio's `broadcast`.
///
/// ```swift
/// let news = Broadcast<String>(loop, capacity: 16)
/// let subscription = news.subscribe()
/// news.send("hello")
/// for try await message in subscription { print(message.element, message.missed) }
/// ```
///
/// Whoever sends never waits: a subscriber that is slower than that by more than the capacity misses the oldest, and is told
/// how many. It belongs to its loop's thread. Elements need not be `Sendable`.
public final class Broadcast<Element> {
  /// Something that was sent.
  public struct Message {
    /// What was sent.
    public let element: Element
    /// How many elements before it were sent to this subscriber, since the last that it got, and are lost to it.
    public let missed: Int
  }

  private struct Entry {
    let element: Element
    /// How many subscribers are to receive it still.
    var unread: Int
  }

  fileprivate let loop: EventLoop
  /// How many elements a subscriber may be behind before it misses the oldest.
  public let capacity: Int
  /// What was sent last, as long as somebody is to receive it. Who has read one has read those before it, or missed them.
  private var recent = Deque<Entry>()
  /// How many were ever sent.
  private var sent = 0
  private var subscribers = 0
  private var wasShutDown = false
  private let waiting: Gate

  /// Makes one without subscribers.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - capacity: how many elements a subscriber may be behind, one or more.
  public init(_ loop: EventLoop, capacity: Int) {
    require(capacity > 0, "Broadcast.init: the capacity must be above zero")
    self.loop = loop
    self.capacity = capacity
    waiting = Gate(loop)
  }

  /// The number of what is sent next, less those that are kept.
  private var oldest: Int { sent - recent.count }

  /// How many subscriptions there are.
  public var subscriberCount: Int {
    loop.checkThread("Broadcast.subscriberCount")
    return subscribers
  }

  /// Sends an element to all who have subscribed. It never waits.
  ///
  /// - Returns: how many subscribers it was sent to; zero once it was shut down, and then the element is dropped.
  @discardableResult
  public func send(_ element: Element) -> Int {
    loop.checkThread("Broadcast.send")
    if subscribers == 0 || wasShutDown { return 0 }
    // Let go of at the end, since an element may call back when it goes.
    let pushedOut = recent.count == capacity ? recent.popFirst() : nil
    recent.append(Entry(element: element, unread: subscribers))
    sent += 1
    waiting.wakeAll()
    return withExtendedLifetime(pushedOut) { subscribers }
  }

  /// Begins to receive what is sent from here on.
  ///
  /// It ends when the subscription is dropped.
  public func subscribe() -> Subscription {
    loop.checkThread("Broadcast.subscribe")
    subscribers += 1
    return Subscription(self, from: sent)
  }

  /// Ends the sequences of all subscribers behind what was sent so far.
  public func shutdown() {
    loop.checkThread("Broadcast.shutdown")
    wasShutDown = true
    waiting.wakeAll()
  }

  /// What the subscriber that stands at a position gets; nil where it has to wait.
  private func take(at position: inout Int) -> Message? {
    guard position < sent else { return nil }
    let missed = max(0, oldest - position)
    let index = position + missed - oldest
    position += missed + 1
    recent[index].unread -= 1
    let element = recent[index].element
    dropRead()
    return Message(element: element, missed: missed)
  }

  /// A subscriber is gone from a position.
  private func leave(_ position: Int) {
    subscribers -= 1
    for index in max(0, position - oldest)..<recent.count { recent[index].unread -= 1 }
    dropRead()
  }

  private func dropRead() {
    while recent.first?.unread == 0 { _ = recent.popFirst() }
  }

  /// What one subscriber receives, in the order in which it was sent. Get it from ``Broadcast/subscribe()``.
  ///
  /// It is made for one task at a time, and belongs to its loop's thread.
  public final class Subscription: AsyncSequence {
    /// Nil only at the end.
    private var broadcast: Broadcast!
    /// The number of what comes next.
    private var position: Int

    fileprivate init(_ broadcast: Broadcast, from position: Int) {
      self.broadcast = broadcast
      self.position = position
    }

    deinit {
      // The last reference may go wherever a task ends; that to the broadcast is moved to the loop's thread.
      let (door, position) = (broadcast.loop.taskExecutor.door, position)
      let left = HandOver(LoopBound(broadcast.take()))
      door.runOnLoop { left.take()?.value?.leave(position) }
    }

    /// Receives what was sent next, and waits for it.
    ///
    /// - Returns: the element, and how many before it are lost; nil once all was received that was sent before the shutdown.
    /// - Throws: `CancellationError` when the task is cancelled while it waits, and then nothing is lost: the next call gets
    ///   it. ``EventLoopError`` `.closed`.
    public func next() async throws -> Message? {
      broadcast.loop.checkThread("Broadcast.next")
      while true {
        if let message = broadcast.take(at: &position) { return message }
        if broadcast.wasShutDown { return nil }
        try await broadcast.waiting.wait("Broadcast.next") { position < broadcast.sent || broadcast.wasShutDown }
      }
    }

    /// Receives what was sent next, if there is something.
    ///
    /// - Returns: the element, and how many before it are lost; nil where ``next()`` would wait or end.
    public func tryNext() -> Message? {
      broadcast.loop.checkThread("Broadcast.tryNext")
      return broadcast.take(at: &position)
    }

    /// Receives.
    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let subscription: Subscription

      /// Receives what was sent next, as ``Broadcast/Subscription/next()`` does.
      public mutating func next() async throws -> Message? { try await subscription.next() }

      /// Receives what was sent next, as ``Broadcast/Subscription/next()`` does.
      public mutating func next(isolation actor: (any Actor)?) async throws -> Message? {
        try await subscription.next()
      }
    }

    /// Iterates over what is sent.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }
  }
}
