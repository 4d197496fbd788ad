// SPDX-License-Identifier: Apache-2.0
import Synchronization

extension EventLoop {
  /// Runs blocking work on a thread of a small pool, and brings its answer back. A task that is cancelled abandons the
  /// work: it is not begun any more, or its late answer is ignored.
  func onThread<Answer: Sendable, Failure: Error>(
    _ threads: WorkerThreads, _ method: StaticString, _ work: @escaping @Sendable () throws(Failure) -> Answer
  ) async throws -> Answer {
    let remote = remote
    var answer: Result<Answer, Failure>?
    let abandonment = Abandonment()
    try await wait(method) { waiter in
      waiter.onCancel = { abandonment.isSet.store(true, ordering: .relaxed) }
      let reply = LoopBound { (result: Result<Answer, Failure>) in
        answer = result
        waiter.resume()
      }
      do {
        try threads.submit {
          if abandonment.isSet.load(ordering: .relaxed) { return }
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

/// Tells a thread that nobody waits for its work any more.
private final class Abandonment: Sendable {
  let isSet = Atomic(false)
}
