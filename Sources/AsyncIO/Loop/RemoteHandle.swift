// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A callback that was sent to a loop from another thread. asyncio's `Handle` of `call_soon_threadsafe`, which here may be
/// cancelled from any thread.
public final class RemoteHandle: Sendable {
  private struct State {
    /// Nil once it ran or was cancelled, or its loop was closed.
    var body: ((EventLoop) throws -> Void)?
    var isCancelled = false
  }

  /// The closure was sent, so that nobody else can reach what it captured: it may be run on the loop's thread, and let go
  /// of on any.
  private let state: Mutex<LoopBound<State>>
  /// Told when the loop closes before it gets to the call.
  private let onDrop: (@Sendable () -> Void)?

  init(_ body: sending @escaping (EventLoop) throws -> Void, onDrop: (@Sendable () -> Void)? = nil) {
    state = Mutex(LoopBound(State(body: body)))
    self.onDrop = onDrop
  }

  /// Makes sure that the callback does not run, and lets go of it at once. asyncio's `cancel`.
  ///
  /// From any thread. A callback that has begun, or ran, is not affected.
  ///
  /// - Returns: whether this call kept it from running.
  @discardableResult
  public func cancel() -> Bool { take(isCancelled: true) != nil }

  /// Whether ``cancel()`` kept the callback from running. asyncio's `cancelled`.
  public var isCancelled: Bool { state.withLock { $0.value.isCancelled } }

  /// Runs the callback, unless it was cancelled. On the loop's thread.
  func run(on loop: EventLoop) throws {
    if let body = take()?.value.body { try body(loop) }
  }

  /// Takes the callback out, once. It is run, or released, outside the lock, since either may come back here.
  private func take(isCancelled: Bool = false) -> LoopBound<State>? {
    state.withLock { state in
      guard state.value.body != nil else { return nil }
      let taken = state
      state = LoopBound(State(body: nil, isCancelled: isCancelled))
      return taken
    }
  }
}

extension RemoteHandle: RemoteCall {
  func drop() {
    if take() != nil { onDrop?() }
  }
}
