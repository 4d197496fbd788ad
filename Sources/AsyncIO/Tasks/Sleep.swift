// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Suspends the task for so long, never for less. asyncio's `sleep`.
  ///
  /// Zero or less lets everything else that is ready run once.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(for duration: Duration) async throws {
    try await sleep(until: time.advanced(by: duration))
  }

  /// Suspends the task until a moment of the loop's clock, never for less.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(until deadline: Clock.Instant) async throws {
    try await wait("sleep") { waiter in
      if deadline <= time {
        let handle = callSoon { waiter.resume() }
        waiter.onCancel = { handle.cancel() }
      } else {
        let handle = callAt(deadline) { waiter.resume() }
        waiter.onCancel = { handle.cancel() }
      }
    }
  }
}
