// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A closure that was sent to a loop from another thread, and what a ``RemoteHandle`` stands for.
///
/// Its memory serves one call after the other: one thread would have to release what another has allocated. It fills a line of
/// the cache: two in one line would be written by two threads at a time.
final class RemoteCallback: RemoteCall {
  struct Content {
    /// Nil once it ran or was cancelled, or its loop was closed.
    var body: ((EventLoop) throws -> Void)?
    var isCancelled = false
  }

  /// The closure was sent, so that nobody else can reach what it captured: it may be run on the loop's thread, and let go
  /// of on any.
  private let content: Mutex<LoopBound<Content>>
  /// Told when the loop closes before it gets to the call.
  private let onDrop: (@Sendable () -> Void)?

  init(_ body: consuming sending @escaping (EventLoop) throws -> Void, onDrop: (@Sendable () -> Void)? = nil) {
    content = Mutex(LoopBound(Content(body: body)))
    self.onDrop = onDrop
  }

  /// One that has nothing to run yet.
  init() {
    content = Mutex(LoopBound(Content()))
    onDrop = nil
  }

  /// Whether its memory may become another call's, once nobody else refers to it.
  var isReusable: Bool { onDrop == nil }

  /// Becomes another call, and leaves what it was.
  func exchange(_ new: inout LoopBound<Content>) { content.withLock { swap(&$0, &new) } }

  var isCancelled: Bool { content.withLock { $0.value.isCancelled } }

  /// Runs the callback, unless it was cancelled. On the loop's thread.
  func run(on loop: EventLoop) throws {
    if let body = take()?.value.body { try body(loop) }
  }

  /// Lets go of the callback.
  ///
  /// - Returns: whether there was one.
  func cancel() -> Bool { take(isCancelled: true) != nil }

  func drop() {
    if take() != nil { onDrop?() }
  }

  /// Takes the callback out, once. It is run, or released, outside the lock, since either may come back here.
  private func take(isCancelled: Bool = false) -> LoopBound<Content>? {
    content.withLock { content in
      guard content.value.body != nil else { return nil }
      return Swift.exchange(&content, with: LoopBound(Content(body: nil, isCancelled: isCancelled)))
    }
  }
}
