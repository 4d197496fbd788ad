// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs until the future has an outcome, and returns or throws that. asyncio's `run_until_complete`.
  ///
  /// - Throws: ``EventLoopError`` `.stoppedBeforeComplete` when the loop is stopped before, `.foreignLoop` for a future
  ///   of another loop, and as ``runForever()``; else the future's own error.
  public func runUntilComplete<Value>(_ future: Future<Value>) throws -> Value {
    guard future.loop === self else { throw EventLoopError.foreignLoop }
    if isClosed { throw EventLoopError.closed }
    var isWanted = true
    future.addDoneCallback { [unowned self] _ in
      if isWanted { stop() }
    }
    // A callback of a run that ended before must not stop a later one.
    defer { isWanted = false }
    try runForever()
    guard let result = future.result else { throw EventLoopError.stoppedBeforeComplete }
    return try result.get()
  }

  /// Runs until the task has ended, and returns or throws its outcome. asyncio's `run_until_complete`.
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
    return try runUntilComplete(startTask(body).outcome)
  }

  /// Starts a task whose outcome, sendable or not, ends up in a future of this loop.
  func startTask<Success>(
    _ body: @escaping () async throws -> Success
  ) -> (task: Task<Void, any Error>, outcome: Future<Success>) {
    let outcome = Future<Success>(self)
    let task = createTask {
      do {
        let value = try await body()
        try outcome.setResult(value)
      } catch {
        try outcome.setError(error)
      }
    }
    return (task, outcome)
  }
}
