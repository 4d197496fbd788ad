// SPDX-License-Identifier: Apache-2.0

/// The suspension of a task that waits for bytes, which it is handed when it goes on: a task that had to fetch them itself would
/// pay for a visit to the runtime first, as for all that it does behind a suspension.
@safe
@usableFromInline
final class BytesWaiter: Suspension {
  /// Nil while the task is not suspended.
  private var continuation: UnsafeContinuation<[UInt8]?, any Error>?

  /// Suspends the calling task, for whom it was prepared, as ``Waiter/suspend(for:as:_:)`` does. Inlined into programs, where it
  /// needs no frame of its own.
  ///
  /// - Returns: what it is resumed with.
  @inlinable
  @inline(__always)
  func suspend(_ begin: () -> Void = {}) async throws -> [UInt8]? {
    try await unsafe _unsafeInheritExecutor_withUnsafeThrowingContinuation {
      if unsafe holds($0) { begin() }
    }
  }

  /// - Returns: false where the task was cancelled before.
  @usableFromInline
  func holds(_ continuation: UnsafeContinuation<[UInt8]?, any Error>) -> Bool {
    guard begins() else {
      unsafe continuation.resume(throwing: CancellationError())
      return false
    }
    unsafe self.continuation = continuation
    return true
  }

  /// Wakes the task, and hands it what it has waited for.
  func resume(returning bytes: consuming [UInt8]?) {
    guard ends(), let continuation = unsafe continuation.take() else { return }
    unsafe continuation.resume(returning: bytes)
  }

  override func resume(throwing error: any Error) -> Bool {
    guard ends(), let continuation = unsafe continuation.take() else { return false }
    unsafe continuation.resume(throwing: error)
    return true
  }
}
