// SPDX-License-Identifier: Apache-2.0

/// One suspended await, resumed exactly once and on the thread of its loop.
@safe
final class Waiter {
  @safe private enum State {
    case idle
    case suspended(UnsafeContinuation<Void, any Error>)
    case resumed
  }

  /// The call that waits, for those who ask what a task waits for.
  let method: StaticString
  private var state = State.idle
  /// Set when the cancellation came before the await did.
  private var wasCancelled = false
  /// Undoes what the await had arranged, when it is cancelled.
  var onCancel: (() -> Void)?

  init(_ method: StaticString) { self.method = method }

  var isSuspended: Bool {
    if case .suspended = state { true } else { false }
  }

  /// Suspends the calling task. `begin` arranges for the resumption, and may resume at once.
  @inline(__always)
  func suspend(_ begin: () -> Void) async throws {
    // The continuation is taken out of the state before it is resumed, so that it is resumed once.
    try await unsafe withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
      if wasCancelled {
        state = .resumed
        unsafe continuation.resume(throwing: CancellationError())
      } else {
        unsafe state = .suspended(continuation)
        begin()
      }
    }
  }

  /// Wakes the task. Nothing happens when it was woken before.
  ///
  /// - Returns: whether this call woke it.
  @discardableResult
  func resume(_ result: Result<Void, any Error> = .success(())) -> Bool {
    guard case .suspended(let continuation) = state else { return false }
    state = .resumed
    onCancel = nil
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
