// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs a closure that starts tasks, and awaits them all before it returns. asyncio's `TaskGroup`.
  ///
  /// The tasks may share what surrounds them. When one fails, the others and the closure are cancelled; so they are when the
  /// caller is, or the closure fails.
  ///
  /// - Parameters:
  ///   - type: what the tasks return; the compiler finds it out.
  ///   - maxConcurrent: how many tasks may be at work at a time, at least one; nil for any number.
  ///   - file: where the call is.
  ///   - line: where the call is.
  ///   - body: starts tasks by ``LoopTaskGroup/createTask(name:file:line:_:)``.
  /// - Returns: what the closure returns.
  /// - Throws: what failed, the closure's error among it: one error as it is, several as a ``LoopTaskGroupError``;
  ///   `CancellationError` when the caller was cancelled, or when ``LoopTaskGroup/cancel()`` left the closure without a
  ///   result that is not `Void`.
  public func withLoopTaskGroup<Success, Result>(
    of type: Success.Type = Success.self, maxConcurrent: Int? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (LoopTaskGroup<Success>) async throws -> Result
  ) async throws -> Result {
    try checkOpen("withLoopTaskGroup")
    if let maxConcurrent {
      require(maxConcurrent > 0, "withLoopTaskGroup: maxConcurrent must be above zero")
    }
    let scope = TaskScope(self)
    let group = LoopTaskGroup<Success>(scope, maxConcurrent: maxConcurrent)
    // The closure is a task of the scope as well, so that a failure elsewhere can cancel it.
    let main = scope.start(eager: true, file: file, line: line) { try await body(group) }
    try await scope.join("withLoopTaskGroup")
    switch main.result {
    case .success(let result): return result
    case .failure(let error):
      // The group was cancelled, and the closure with it.
      if let nothing = () as? Result { return nothing }
      throw error
    case nil: misuse("a group's scope ended before its closure")
    }
  }
}
