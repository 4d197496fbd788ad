// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  // These are inlined into their callers, which alone know the type of the result, and `limit` does all else without it. A
  // generic function that is not specialised looks the type up again and again, which took a fifth of the whole. Nor are
  // closures wrapped more often than they have to be: each around another is one more await.

  /// Runs the closure, and cancels it when it takes longer than that. asyncio's `timeout` and `wait_for`.
  ///
  /// The closure runs as a part of the calling task, begins at once, and is awaited: nothing of it is left afterwards. Limits
  /// nest, and each throws for itself alone. A closure that is done in the very tick in which the time is over is done.
  ///
  /// - Throws: ``TimeoutError`` when the time is over and the closure was ended by that; `CancellationError` when the caller was
  ///   cancelled, be it in the same tick; else what the closure throws.
  @inlinable
  public func withTimeout<R>(
    _ duration: Duration, file: StaticString = #fileID, line: UInt = #line, _ body: @escaping () async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: time.advanced(by: duration), file, line) { _ in result = try await body() }
    return result!
  }

  /// The same for a closure that may move the limit.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  @inlinable
  public func withTimeout<R>(
    _ duration: Duration, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: time.advanced(by: duration), file, line) { result = try await body($0) }
    return result!
  }

  /// Runs the closure, and cancels it when it is not done by then; nil for no limit, as long as the closure sets none. asyncio's
  /// `timeout_at`.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  @inlinable
  public func withDeadline<R>(
    _ deadline: Clock.Instant?, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: deadline, file, line) { _ in result = try await body() }
    return result!
  }

  /// The same for a closure that may move the limit.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  @inlinable
  public func withDeadline<R>(
    _ deadline: Clock.Instant?, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: deadline, file, line) { result = try await body($0) }
    return result!
  }

  /// Runs the work as a child of the calling task that can be cancelled by itself.
  @usableFromInline
  func limit(
    until deadline: Clock.Instant?, _ file: StaticString, _ line: UInt,
    _ body: @escaping (TimeLimit) async throws -> Void
  ) async throws {
    try checkOpen("withTimeout")
    guard let current = NativeTask.current, !current.isCancelled else { throw CancellationError() }
    guard let caller = tasks.context(current.identity) else {
      // The caller is no task of the loop's, so that a child of it might run on any thread: a task of the loop's does it.
      try await createTask(eager: true, file: file, line: line) {
        try await self.limit(until: deadline, file, line, body)
      }
      .value
      return
    }
    let limit = TimeLimit(self, caller, body)
    // Before the work begins, since it may move the limit in its first step.
    limit.reschedule(at: deadline)
    caller.awaited = limit
    // The work stays on the thread: a child task inherits the preference for the loop's executor.
    let bound = LoopBound(limit)
    let outer = core.expectEagerStart()
    async let end: Void = bound.value.run()
    runEagerSteps(outer)
    await end
    guard let failure = limit.failure else { return }
    // A cancellation of the caller is thrown as what it is, also when the time was over in the same tick.
    if failure is CancellationError, limit.isExpired, !current.isCancelled {
      throw TimeoutError(callSite: CallSite(file, line))
    }
    throw failure
  }
}
