// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs the closure where the caller's cancellation does not reach, and waits for its end: for the clean-up of a task that is
  /// cancelled.
  ///
  /// A cancellation in Swift stays: every wait of a cancelled task throws at once, and so does one in its clean-up, where
  /// asyncio's would not. The closure runs as a task of its own, from here to its first suspension at once. It should end
  /// soon, by a time limit for instance: nothing but the end of the run cancels it. To leave work behind rather than wait for it, use
  /// ``shield(_:)``.
  ///
  /// ```swift
  /// do {
  ///   try await session.run()
  /// } catch {
  ///   try? await loop.withCancellationShield {
  ///     try await loop.withTimeout(.seconds(1)) { try await session.sayGoodbye() }
  ///   }
  ///   throw error
  /// }
  /// ```
  ///
  /// - Returns: what the closure returns, whether or not the caller is cancelled.
  /// - Throws: what the closure throws; ``EventLoopError`` `.closed` on a closed loop.
  public func withCancellationShield<Success>(
    file: StaticString = #fileID, line: UInt = #line, _ body: @escaping () async throws -> Success
  ) async throws -> Success {
    try checkOpen("withCancellationShield")
    let task = createTask(eager: true, file: file, line: line, body)
    await task.waitRegardless()
    return try task.finished()
  }
}
