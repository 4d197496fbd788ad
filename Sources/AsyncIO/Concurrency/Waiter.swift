// SPDX-License-Identifier: Apache-2.0

/// What a task waits for: it is told when the task is cancelled.
protocol Cancellable: AnyObject {
  /// - Returns: false when it is too late.
  @discardableResult
  func cancel() -> Bool
}

/// Whoever passes a cancellation on to what it waits for.
protocol Awaiting: AnyObject {
  /// What it waits for; nil while it does not.
  var awaited: (any Cancellable)? { get set }
}

/// One suspended await, resumed exactly once and on the thread of its loop.
@safe
final class Waiter: Cancellable {
  @safe private enum State {
    case idle
    case suspended(UnsafeContinuation<Void, any Error>)
    case resumed
  }

  /// The call that waits, for those who ask what a task waits for.
  private(set) var method: StaticString
  private var state = State.idle
  /// Set when the task was cancelled, be it before the await began.
  private(set) var wasCancelled = false
  /// Who waits, for as long as it is suspended; nil for a task from elsewhere.
  private var owner: (any Awaiting)?
  /// Undoes what the await had arranged, when it is cancelled.
  var onCancel: (() -> Void)?
  var timerSlot: Int?

  init(_ method: StaticString) { self.method = method }

  var isSuspended: Bool {
    if case .suspended = state { true } else { false }
  }

  /// Suspends the calling task. `begin` arranges for the resumption, and may resume at once.
  ///
  /// - Parameters:
  ///   - owner: who waits, and has to know for what.
  ///   - awaited: what the owner cancels, if that is not the waiter itself.
  ///
  /// The end of the wait is noted by whoever resumes it: each instruction that a task has to execute behind its suspension, in
  /// each function on its way back, costs it a visit to the runtime first, to see whether it is on the right executor.
  @inline(__always)
  func suspend(
    for owner: (any Awaiting)?, as awaited: (any Cancellable)? = nil, _ begin: () -> Void
  ) async throws {
    // This variant of the standard library's function stays on the executor of its caller. The usual one first asks the
    // runtime for the executor that it is on already.
    //
    // The continuation is taken out of the state before it is resumed, so that it is resumed once.
    try await unsafe _unsafeInheritExecutor_withUnsafeThrowingContinuation {
      (continuation: UnsafeContinuation<Void, any Error>) in
      if wasCancelled {
        state = .resumed
        unsafe continuation.resume(throwing: CancellationError())
      } else {
        unsafe state = .suspended(continuation)
        owner?.awaited = awaited ?? self
        self.owner = owner
        begin()
      }
    }
  }

  /// Makes it as good as new, for another wait. Not while it is suspended, nor for a task from elsewhere, whose cancellation
  /// may still be on its way.
  func reuse(for method: StaticString) {
    self.method = method
    state = .idle
    wasCancelled = false
  }

  /// Wakes the task. Nothing happens when it was woken before.
  ///
  /// - Returns: whether this call woke it.
  @discardableResult
  func resume(_ result: Result<Void, any Error> = .success(())) -> Bool {
    guard case .suspended(let continuation) = state else { return false }
    state = .resumed
    onCancel = nil
    if let owner {
      owner.awaited = nil
      self.owner = nil
    }
    unsafe continuation.resume(with: result)
    return true
  }

  /// Wakes the task with a `CancellationError`, after its arrangements were undone.
  ///
  /// - Returns: false when it was woken before.
  @discardableResult
  func cancel() -> Bool {
    wasCancelled = true
    return end(CancellationError())
  }

  /// Wakes the task with an error, after its arrangements were undone.
  ///
  /// - Returns: false when it was woken before.
  @discardableResult
  func end(_ error: any Error) -> Bool {
    guard isSuspended else { return false }
    let undo = onCancel
    onCancel = nil
    undo?()
    return resume(.failure(error))
  }
}
