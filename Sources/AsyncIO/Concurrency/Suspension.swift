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

/// The suspension of a task: who waits, in which call, and what a cancellation undoes. What the task is handed when it goes on is
/// the business of the kinds of it.
@usableFromInline
class Suspension: Cancellable {
  /// The call that waits, for those who ask what a task waits for.
  private(set) final var method: StaticString
  /// Whether a task is suspended now.
  private(set) final var isSuspended = false
  /// Set when the task was cancelled, be it before the await began.
  private(set) final var wasCancelled = false
  /// Who waits, for as long as it is suspended; nil for a task from elsewhere.
  private final var owner: (any Awaiting)?

  init(_ method: StaticString) { self.method = method }

  /// Makes it as good as new, for another wait. Not while it is suspended, nor for a task from elsewhere, whose cancellation
  /// may still be on its way.
  final func reuse(for method: StaticString) {
    self.method = method
    wasCancelled = false
  }

  /// Notes who is going to wait. Before the suspension, so that a cancellation on the way there is noticed.
  ///
  /// - Parameter awaited: what the owner cancels, if that is not the suspension itself.
  @inline(__always)
  final func prepare(for owner: consuming (any Awaiting)?, as awaited: (any Cancellable)? = nil) {
    owner?.awaited = awaited ?? self
    self.owner = owner
  }

  /// Notes that the task is suspended.
  ///
  /// - Returns: false where it was cancelled before.
  @inline(__always)
  final func begins() -> Bool {
    isSuspended = true
    return !wasCancelled || !ends()
  }

  /// Notes that the task goes on.
  ///
  /// - Returns: false where it does already.
  @inline(__always)
  final func ends() -> Bool {
    guard isSuspended else { return false }
    isSuspended = false
    owner.take()?.awaited = nil
    return true
  }

  /// Wakes the task with an error.
  ///
  /// - Returns: false when it was woken before.
  @discardableResult
  func resume(throwing error: any Error) -> Bool { misuse("a suspension of no kind has nothing to resume") }

  /// Undoes what the await had arranged.
  func undo() {}

  /// Wakes the task with a `CancellationError`, after its arrangements were undone.
  ///
  /// - Returns: false when it was woken before.
  @discardableResult
  final func cancel() -> Bool {
    wasCancelled = true
    return end(CancellationError())
  }

  /// Wakes the task with an error, after its arrangements were undone.
  ///
  /// - Returns: false when it was woken before.
  @discardableResult
  final func end(_ error: any Error) -> Bool {
    guard isSuspended else { return false }
    undo()
    return resume(throwing: error)
  }
}
