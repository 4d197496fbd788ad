// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A callback that was sent to a loop from another thread. asyncio's `Handle` of `call_soon_threadsafe`, which here may be
/// cancelled from any thread.
public final class RemoteHandle: Sendable {
  private enum State {
    case waiting((EventLoop) throws -> Void)
    /// It ran, or its loop was closed.
    case over
    case cancelled
  }

  /// The closure was sent, so that nobody else can reach what it captured: it may be run on the loop's thread, and let go
  /// of on any.
  private let state: Mutex<LoopBound<State>>
  /// Told when the loop closes before it gets to the call.
  private let onDrop: (@Sendable () -> Void)?

  init(_ body: sending @escaping (EventLoop) throws -> Void, onDrop: (@Sendable () -> Void)? = nil) {
    state = Mutex(LoopBound(.waiting(body)))
    self.onDrop = onDrop
  }

  /// Makes sure that the callback does not run, and lets go of it at once. asyncio's `cancel`.
  ///
  /// From any thread. A callback that has begun, or ran, is not affected.
  ///
  /// - Returns: whether this call kept it from running.
  @discardableResult
  public func cancel() -> Bool { take(.cancelled) != nil }

  /// Whether ``cancel()`` kept the callback from running. asyncio's `cancelled`.
  public var isCancelled: Bool {
    state.withLock { state in
      if case .cancelled = state.value { true } else { false }
    }
  }

  /// Runs the callback, unless it was cancelled. On the loop's thread.
  func run(on loop: EventLoop) throws {
    if case .waiting(let body) = take(.over)?.value { try body(loop) }
  }

  /// Takes the callback out, once. It is run, or released, outside the lock, since either may come back here.
  private func take(_ next: State) -> LoopBound<State>? {
    let next = LoopBound(next)
    return state.withLock { state in
      guard case .waiting = state.value else { return nil }
      defer { state = next }
      return state
    }
  }
}

extension RemoteHandle: RemoteCall {
  func drop() {
    if take(.over) != nil { onDrop?() }
  }
}
