// SPDX-License-Identifier: Apache-2.0

/// One suspended await of a task, which is resumed exactly once, on the thread of its loop.
@safe
final class Waiter: Suspension {
  /// Nil while the task is not suspended: taken out before it is resumed, so that it is resumed once.
  private var continuation: UnsafeContinuation<Void, any Error>?
  var timerTicket: TimerTicket?
  /// Undoes what the await had arranged, when it is cancelled.
  var onCancel: (() -> Void)?

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
    for owner: consuming (any Awaiting)?, as awaited: (any Cancellable)? = nil, _ begin: () -> Void
  ) async throws {
    prepare(for: owner, as: awaited)
    // This variant of the standard library's function stays on the executor of its caller. The usual one first asks the
    // runtime for the executor that it is on already.
    try await unsafe _unsafeInheritExecutor_withUnsafeThrowingContinuation {
      (continuation: UnsafeContinuation<Void, any Error>) in
      guard begins() else { return unsafe continuation.resume(throwing: CancellationError()) }
      unsafe self.continuation = continuation
      begin()
    }
  }

  /// Wakes the task. Nothing happens when it was woken before.
  ///
  /// - Returns: whether this call woke it.
  @discardableResult
  func resume(_ result: Result<Void, any Error> = .success(())) -> Bool {
    guard ends(), let continuation = unsafe continuation.take() else { return false }
    if onCancel != nil { onCancel = nil }
    unsafe continuation.resume(with: result)
    return true
  }

  override func undo() { onCancel.take()?() }

  override func resume(throwing error: any Error) -> Bool { resume(.failure(error)) }
}
