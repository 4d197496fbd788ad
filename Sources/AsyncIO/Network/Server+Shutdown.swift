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
  func shutdownRegardless(gracePeriod: Duration) async {
    close()
    let timer = loop.callLater(max(gracePeriod, .zero)) { self.abortClients() }
    defer { timer.cancel() }
    await waitUntilOver()
  }
}
