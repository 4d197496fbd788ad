// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Suspends the task for so long, never for less. asyncio's `sleep`.
  ///
  /// Zero or less lets everything else that is ready run once.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(for duration: Duration) async throws {
    try await sleep(until: duration > .zero ? time.advanced(by: duration) : nil)
  }

  /// Suspends the task until a moment of the loop's clock, never for less.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(until deadline: Clock.Instant) async throws {
    try await sleep(until: deadline > time ? deadline : nil)
  }

  @inline(__always)
  private func sleep(until deadline: Clock.Instant?) async throws {
    try await wait("sleep") { waiter in
      guard let deadline else {
        core.schedule(.wakeUp(waiter))
        return
      }
      core.schedule(waiter, at: deadline)
      waiter.onCancel = { [core] in core.cancelTimer(of: waiter) }
    }
  }
}

extension LoopClock: Clock {
  /// Suspends the task until the moment has come; on a loop's thread by that loop's timers.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
    if let loop = EventLoop.running {
      try await loop.sleep(until: deadline)
    } else {
      try await Task.sleep(for: now.duration(to: deadline), tolerance: tolerance)
    }
  }
}
