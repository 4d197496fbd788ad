// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs blocking work on a thread of a small pool, and brings its answer back. A task that is cancelled abandons the
  /// work, and its late answer is ignored.
  func onThread<Answer: Sendable, Failure: Error>(
    _ threads: WorkerThreads, _ method: StaticString, _ work: @escaping @Sendable () throws(Failure) -> Answer
  ) async throws -> Answer {
    let remote = remote
    var answer: Result<Answer, Failure>?
    try await wait(method) { waiter in
      let reply = LoopBound { (result: Result<Answer, Failure>) in
        answer = result
        waiter.resume()
      }
      do {
        try threads.submit {
          let result = Result { () throws(Failure) in try work() }
          // A loop that closed meanwhile does not want it any more.
          try? remote.callSoonThreadsafe { _ in reply.value(result) }
        }
      } catch {
        waiter.resume(.failure(error))
      }
    }
    guard let answer else { preconditionFailure("\(method) woke its waiter without an answer") }
    return try answer.get()
  }
}
