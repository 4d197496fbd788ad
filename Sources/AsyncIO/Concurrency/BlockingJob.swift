// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A piece of blocking work on its way to a thread: it is run once, or taken back before. The executor's side of
/// concurrent.futures' `Future`.
///
/// Everything about it may be done on any thread. What its closures captured is released as soon as it has run or was
/// cancelled, however long it stays in a queue.
public final class BlockingJob: Sendable {
  private enum State {
    case waiting(work: @Sendable () -> Void, onCancel: @Sendable () -> Void)
    /// Whoever runs it wants to know when nobody waits for it any more.
    case begun(onAbandon: @Sendable () -> Void)
    case abandoned
    case done
    case cancelled
  }

  private let state: Mutex<State>

  /// Makes a job that has not begun.
  ///
  /// - Parameters:
  ///   - work: what to run.
  ///   - onCancel: called when the work will not be run any more: the job was cancelled, or dropped by its executor.
  public init(_ work: @escaping @Sendable () -> Void, onCancel: @escaping @Sendable () -> Void = {}) {
    state = Mutex(.waiting(work: work, onCancel: onCancel))
  }

  deinit {
    // Nobody can run it any more, and somebody may wait for it.
    cancel()
  }

  /// Runs the work on the calling thread, unless it was run or cancelled before.
  public func run() { _ = run {} }

  /// Runs the work, and tells meanwhile, on any thread, when nobody waits for it any more.
  ///
  /// - Returns: whether that was so.
  func run(onAbandon: @escaping @Sendable () -> Void) -> Bool {
    let work: (@Sendable () -> Void)? = state.withLock { state in
      guard case .waiting(let work, _) = state else { return nil }
      state = .begun(onAbandon: onAbandon)
      return work
    }
    guard let work else { return false }
    work()
    return state.withLock { state in
      defer { state = .done }
      if case .abandoned = state { return true } else { return false }
    }
  }

  /// Takes the job back, if it has not begun. asyncio's and concurrent.futures' `Future.cancel`.
  ///
  /// One that has begun runs on for nothing.
  ///
  /// - Returns: whether this call did it.
  @discardableResult
  public func cancel() -> Bool {
    let (wasWaiting, action): (Bool, (@Sendable () -> Void)?) = state.withLock { state in
      switch state {
      case .waiting(_, let onCancel):
        state = .cancelled
        return (true, onCancel)
      case .begun(let onAbandon):
        state = .abandoned
        return (false, onAbandon)
      case .abandoned, .done, .cancelled:
        return (false, nil)
      }
    }
    action?()
    return wasWaiting
  }

  /// Whether it was taken back before it began.
  public var isCancelled: Bool {
    state.withLock { state in
      if case .cancelled = state { true } else { false }
    }
  }
}
