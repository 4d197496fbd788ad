// SPDX-License-Identifier: Apache-2.0

/// A queue as other threads and actors may use it. Get it from ``Queue/remote``, and pass it anywhere.
///
/// Its calls run on the queue's loop, in one order with those of the loop's own tasks, and wait as those do: so a fast
/// producer on another thread is held back by a slow consumer on the loop, and the other way round.
public struct RemoteQueue<Element: Sendable>: Sendable {
  private let loop: RemoteLoop
  private let reference: LoopReference<Queue<Element>>

  init(_ queue: Queue<Element>, on loop: EventLoop) {
    self.loop = loop.remote
    reference = LoopReference(queue, loop.taskExecutor.door)
  }

  /// Adds an element, and waits before while the queue is full.
  ///
  /// - Throws: as ``Queue/put(_:)``: whenever it throws, the element is not in the queue; ``EventLoopError`` `.closed` when the
  ///   loop is closed, or closes before the element was in.
  public func put(_ element: Element) async throws {
    try await withQueue { try await $0.put(element) }
  }

  /// Takes the next element, and waits for one while the queue is empty.
  ///
  /// - Throws: as ``Queue/get()``: whenever it throws, no element was taken; ``EventLoopError`` `.closed` when the loop is
  ///   closed, or closes before there was one.
  public func get() async throws -> Element {
    try await withQueue { try await $0.get() }
  }

  /// Ends the queue, as ``Queue/shutdown(immediate:)`` does.
  ///
  /// - Throws: `CancellationError` when the task was cancelled before, and the queue goes on; ``EventLoopError`` `.closed` when
  ///   the loop is closed.
  public func shutdown(immediate: Bool = false) async throws {
    try await withQueue { $0.shutdown(immediate: immediate) }
  }

  private func withQueue<Success: Sendable>(
    _ body: @escaping @Sendable (Queue<Element>) async throws -> Success
  ) async throws -> Success {
    // On its way to the loop a cancellation could be overtaken by the call.
    try Task.checkCancellation()
    return try await loop.run { [reference] _ in try await body(reference.object) }
  }
}

extension RemoteQueue: AsyncSequence {
  /// Takes elements.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let queue: RemoteQueue

    /// Takes the next element; nil when the queue was shut down and is empty.
    ///
    /// - Throws: `CancellationError`, and then no element was taken; ``EventLoopError`` `.closed`.
    public mutating func next() async throws -> Element? {
      try await queue.withQueue { try await $0.next("Queue.next") }
    }

    /// Takes the next element; nil when the queue was shut down and is empty.
    ///
    /// - Throws: `CancellationError`, and then no element was taken; ``EventLoopError`` `.closed`.
    public mutating func next(isolation actor: (any Actor)?) async throws -> Element? { try await next() }
  }

  /// Iterates over the elements, which takes them, until the queue was shut down and is empty.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(queue: self) }
}

extension Queue where Element: Sendable {
  /// The queue as other threads and actors may use it.
  public final var remote: RemoteQueue<Element> {
    loop.checkThread("Queue.remote")
    return RemoteQueue(self, on: loop)
  }
}
