// SPDX-License-Identifier: Apache-2.0

extension Server {
  /// Ends the server in good order: no more connections from now on, time for those that are open to end by themselves, and
  /// what is left then is aborted.
  ///
  /// Nobody tells the peers or the protocols: they end their connections when they are done, as after a last answer. One
  /// that may hold a connection for long looks at ``isServing``. A task in ``serveForever()`` returns.
  ///
  /// asyncio's `close`, `wait_closed` and `abort_clients` in one.
  ///
  /// - Parameter gracePeriod: how long connections may last; zero or less aborts them at once.
  /// - Throws: `CancellationError` when the task is cancelled: then the connections are aborted, and have ended, by the time
  ///   that it is thrown.
  public func shutdown(gracePeriod: Duration) async throws {
    try loop.checkOpen("Server.shutdown")
    close()
    let timer = loop.callLater(max(gracePeriod, .zero)) { self.abortClients() }
    defer { timer.cancel() }
    do {
      try await waitClosed()
    } catch {
      abortClients()
      await waitUntilOver()
      throw error
    }
  }

  /// The same in a task whose cancellation must change nothing.
  fileprivate func shutdownRegardless(gracePeriod: Duration) async {
    close()
    let timer = loop.callLater(max(gracePeriod, .zero)) { self.abortClients() }
    defer { timer.cancel() }
    await waitUntilOver()
  }
}

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
    let result: Result
    do {
      result = try await body(server)
    } catch {
      await server.shutdownRegardless(gracePeriod: gracePeriod)
      throw error
    }
    await server.shutdownRegardless(gracePeriod: gracePeriod)
    return result
  }
}
