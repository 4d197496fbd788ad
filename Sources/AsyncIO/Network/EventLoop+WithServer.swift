// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs the closure with a server, and shuts the server down when it is left: by its end, by an error, or by the task's
  /// cancellation. asyncio's `async with server`.
  ///
  /// ```swift
  /// try await loop.withServer(loop.startServer(port: 8080, serve)) { server in
  ///   try await server.waitClosed()
  /// }
  /// ```
  ///
  /// A ``Server/serveForever()`` in there closes the connections itself when it is cancelled, and leaves no time for them.
  ///
  /// - Parameters:
  ///   - server: the server, which may serve already.
  ///   - gracePeriod: how long connections that are open may last when the closure is left. What is left then is aborted.
  ///   - body: what to do meanwhile.
  /// - Returns: what the closure returns, once the server and its connections have ended.
  /// - Throws: what the closure throws, then; ``EventLoopError`` `.closed` on a closed loop.
  public func withServer<Result>(
    _ server: Server, gracePeriod: Duration = .seconds(10), _ body: (Server) async throws -> Result
  ) async throws -> Result {
    try checkOpen("withServer")
    let outcome: Swift.Result<Result, any Error>
    do { outcome = .success(try await body(server)) } catch { outcome = .failure(error) }
    await server.shutdownRegardless(gracePeriod: gracePeriod)
    return try outcome.get()
  }
}
