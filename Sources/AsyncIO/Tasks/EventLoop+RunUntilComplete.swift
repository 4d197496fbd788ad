// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs until the future has an outcome, or the task has ended, and returns or throws that. asyncio's
  /// `run_until_complete`.
  ///
  /// - Throws: ``EventLoopError`` `.stoppedBeforeComplete` when the loop is stopped before, `.foreignLoop` for a future
  ///   of another loop, and as ``runForever()``; else the future's own error.
  public func runUntilComplete<Value>(_ future: Future<Value>) throws -> Value {
    guard future.loop === self else { throw EventLoopError.foreignLoop }
    if isClosed { throw EventLoopError.closed }
    var isWanted = true
    future.whenDone { [unowned self] in
      if isWanted { stop() }
    }
    // A callback of a run that ended before must not stop a later one.
    defer { isWanted = false }
    try runForever()
    guard let result = future.result else { throw EventLoopError.stoppedBeforeComplete }
    return try result.get()
  }

  /// Runs until a native task has ended, and returns or throws its outcome. asyncio's `run_until_complete`.
  ///
  /// - Throws: as ``runUntilComplete(_:)-(Future<Value>)``.
  public func runUntilComplete<Success>(_ task: Task<Success, any Error>) throws -> Success {
    try runUntilComplete { try await task.value }
  }

  /// Runs the closure as a task until it has ended, and returns or throws its outcome. asyncio's `run_until_complete`.
  ///
  /// - Throws: ``EventLoopError`` `.stoppedBeforeComplete` when the loop is stopped before, and as ``runForever()``;
  ///   else the closure's own error.
  public func runUntilComplete<Success>(_ body: @escaping () async throws -> Success) throws -> Success {
    if isClosed { throw EventLoopError.closed }
    if isRunning || EventLoop.running != nil { throw EventLoopError.alreadyRunning }
    return try runUntilComplete(createTask(body))
  }
}
