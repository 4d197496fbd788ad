// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Suspends the calling task until the waiter is resumed. `begin` arranges for that, and may resume at once.
  ///
  /// The task may have hopped between the call and `begin`, when it is isolated to an actor: whatever is waited for has
  /// to be looked at in `begin`, which runs in one go with the suspension, and once more after the return.
  ///
  /// When the task is cancelled, the waiter's `onCancel` undoes the arrangement, on the loop's thread, and the call
  /// throws `CancellationError`. A task of the loop's own has one handler of cancellation for its life, and notes here what it
  /// waits for; the children that it makes by `async let`, and tasks from elsewhere, have one for each wait.
  @inline(__always)
  func wait(_ method: StaticString, _ begin: (Waiter) -> Void) async throws {
    try checkOpen(method)
    guard let task = core.tasks.current else {
      try await waitAsForeigner(begin)
      return
    }
    if task.isCancelRequested { throw CancellationError() }
    let waiter = Waiter()
    task.waiter = waiter
    defer { task.waiter = nil }
    try await waiter.suspend { begin(waiter) }
  }

  private func waitAsForeigner(_ begin: (Waiter) -> Void) async throws {
    try Task.checkCancellation()
    let waiter = Waiter()
    let cancellable = LoopBound(waiter)
    let door = taskExecutor.door
    try await withTaskCancellationHandler {
      try await waiter.suspend { begin(waiter) }
    } onCancel: {
      // Whoever cancels may be on any thread; the waiter is the loop's.
      door.perform { cancellable.value.cancel() }
    }
  }
}
