// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The threads of loops that have one to themselves: as many as there are such loops.
private let loopThreads = WorkerThreads(limit: .max, name: "asyncio")

extension EventLoop {
  /// Runs a program on a fresh loop and a thread of its own, and awaits its end: ``run(_:isolation:_:)`` for async callers.
  ///
  /// The loop neither adopts anything of the process nor handles its signals. Cancelling the caller cancels the program.
  ///
  /// - Parameters:
  ///   - configuration: how to set up the loop.
  ///   - body: the program, which is sent to the thread.
  /// - Returns: what the program returns.
  /// - Throws: what the program throws; ``IOError`` when the system has no thread or no descriptor for it.
  public static func runOnThread<R: Sendable>(
    _ configuration: Configuration = Configuration(), _ body: sending @escaping (EventLoop) async throws -> R
  ) async throws -> R {
    let body = HandOver(body)
    return try await onThreadOfItsOwn { onStart in try runHere(configuration, onStart, body) }
  }

  /// Runs a program that blocks its thread on a thread of its own, and awaits its end.
  ///
  /// - Parameter program: is handed what it has to call once it can be cancelled: with how, from any thread.
  package static func onThreadOfItsOwn<R: Sendable>(
    _ program: @escaping @Sendable (_ onStart: (@escaping @Sendable () -> Void) -> Void) throws -> R
  ) async throws -> R {
    let state = RemoteRun<R>()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        state.begin(continuation)
        do {
          try loopThreads.submit { state.resume(with: Result { try program { state.started(cancel: $0) } }) }
        } catch {
          state.resume(with: .failure(error))
        }
      }
    } onCancel: {
      state.cancel()
    }
  }

  private static func runHere<R>(
    _ configuration: Configuration, _ onStart: (@escaping @Sendable () -> Void) -> Void,
    _ body: HandOver<(EventLoop) async throws -> R>
  ) throws -> R {
    guard let body = body.take() else { misuse("a program was taken by two threads") }
    let loop = try EventLoop()
    if let debug = configuration.debug { loop.debug = debug }
    return try loop.runMain(
      executorShutdownTimeout: configuration.executorShutdownTimeout,
      onStart: { main in
        let main = main.remote
        onStart { main.cancel() }
      }, body)
  }
}
