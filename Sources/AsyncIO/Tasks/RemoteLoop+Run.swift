// SPDX-License-Identifier: Apache-2.0
import Synchronization

extension RemoteLoop {
  /// Runs a task on the loop and awaits its outcome, from any thread or actor.
  ///
  /// Cancelling the caller cancels the task.
  ///
  /// - Throws: ``EventLoopError`` `.closed` when the loop is closed, or closes before the task has ended; else the
  ///   closure's own error.
  public func run<Success: Sendable>(
    _ body: sending @escaping (EventLoop) async throws -> Success
  ) async throws -> Success {
    let state = RemoteRun<Success>()
    // The closure was sent: it is nobody's until the loop runs it.
    let body = LoopBound(body)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        state.begin(continuation)
        let call = RemoteCallback(
          { loop in
            let forget = loop.onClose { state.resume(with: .failure(EventLoopError.closed)) }
            let task = loop.createTask {
              do {
                state.resume(with: .success(try await body.value(loop)))
              } catch {
                state.resume(with: .failure(error))
              }
              forget()
            }
            let started = task.remote
            state.started { started.cancel() }
          },
          onDrop: { state.resume(with: .failure(EventLoopError.closed)) })
        if !post(call) { state.resume(with: .failure(EventLoopError.closed)) }
      }
    } onCancel: {
      state.cancel()
    }
  }
}

/// The two ends of a remote run: who waits, and what cancels the task. Safe from any thread.
final class RemoteRun<Success: Sendable>: Sendable {
  private struct State {
    var continuation: CheckedContinuation<Success, any Error>?
    var cancel: (@Sendable () -> Void)?
    var isCancelled = false
  }

  private let state = Mutex(State())

  func begin(_ continuation: CheckedContinuation<Success, any Error>) {
    state.withLock { $0.continuation = continuation }
  }

  func started(cancel: @escaping @Sendable () -> Void) {
    let isCancelled = state.withLock { state in
      state.cancel = cancel
      return state.isCancelled
    }
    if isCancelled { cancel() }
  }

  func cancel() {
    let cancel = state.withLock { state in
      state.isCancelled = true
      return state.cancel
    }
    cancel?()
  }

  /// Wakes the caller, once.
  func resume(with result: Result<Success, any Error>) {
    let continuation = state.withLock { state in
      defer { state.continuation = nil }
      return state.continuation
    }
    continuation?.resume(with: result)
  }
}
