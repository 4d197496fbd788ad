// SPDX-License-Identifier: Apache-2.0

/// An outcome that is not there yet, whatever its type: what ``Future`` and ``LoopTask`` have in common.
public protocol AnyFuture: AnyObject {
  /// The loop that its callbacks run on.
  var loop: EventLoop { get }
  /// Whether it has an outcome. asyncio's `done`.
  var isDone: Bool { get }
  /// Whether its outcome is a `CancellationError`. asyncio's `cancelled`.
  var isCancelled: Bool { get }
  /// The error that it ended with; nil without one, and while there is no outcome. Counts as asking for it. asyncio's
  /// `exception`.
  var error: (any Error)? { get }
  /// Cancels it. asyncio's `cancel`.
  @discardableResult
  func cancel() -> Bool
  /// Calls back by `callSoon` once there is an outcome, or now that there is one.
  func whenDone(_ callback: @escaping () throws -> Void)
}

/// A task of a loop, whatever its type.
public protocol AnyLoopTask: AnyFuture {
  /// The name that it was given, for logs and debuggers. asyncio's `get_name`.
  var name: String? { get }
  /// Where it was made.
  var callSite: CallSite { get }
}
