// SPDX-License-Identifier: Apache-2.0
import Logging

extension EventLoop {
  /// Runs blocking work on a thread of an executor, and awaits what it returns or throws. asyncio's `run_in_executor`
  /// and `to_thread`.
  ///
  /// The work and what it captures are sent to the other thread, and its result is sent back: neither has to be
  /// `Sendable`, but nobody else may hold on to it.
  ///
  /// A task that is cancelled meanwhile goes on with a `CancellationError` at once. Its work is not begun any more, or,
  /// since a thread cannot be interrupted, runs on for nothing.
  ///
  /// - Parameters:
  ///   - executor: where to run it; nil for the default executor, a ``ThreadPoolExecutor`` that is made when it is first
  ///     needed.
  ///   - work: what to run. It must not use the loop, but may hold its ``remote``.
  /// - Throws: what the work throws; `CancellationError`, also when the executor drops the work in a shutdown;
  ///   ``EventLoopError`` `.closed`, or `.executorShutDown` when the executor takes no more work; ``IOError`` when the
  ///   system has no thread for it.
  public func runInExecutor<Success>(
    _ executor: (any BlockingExecutor)? = nil, _ work: sending @escaping () throws -> Success
  ) async throws -> sending Success {
    try checkOpen("runInExecutor")
    return try await onThread(executor ?? usableDefaultExecutor(), "runInExecutor", work)
  }

  /// Sets the executor that ``runInExecutor(_:_:)`` uses by default. asyncio's `set_default_executor`.
  ///
  /// The loop shuts it down when it is closed. The one that was set before is left as it is. On a closed loop this does
  /// nothing.
  public func setDefaultExecutor(_ executor: any BlockingExecutor) {
    checkThread("setDefaultExecutor")
    if !isClosed { defaultExecutor = executor }
  }

  /// Shuts the default executor down, and waits for all work that it was given. asyncio's `shutdown_default_executor`.
  ///
  /// Nothing has to be waited for when it was never used. Afterwards ``runInExecutor(_:_:)`` needs an executor to be
  /// named. ``run(_:isolation:_:)`` does this at its end.
  ///
  /// - Parameter timeout: how long to wait; work that is left then is abandoned, and a warning logged. Nil to wait for
  ///   as long as it takes.
  /// - Throws: `CancellationError`, and then nobody waits for the work.
  public func shutdownDefaultExecutor(timeout: Duration? = nil) async throws {
    checkThread("shutdownDefaultExecutor")
    isDefaultExecutorShutDown = true
    guard let executor = defaultExecutor else { return }
    let remote = remote
    var isInTime = true
    var timer: TimerHandle?
    try await wait("shutdownDefaultExecutor") { waiter in
      timer = timeout.map { timeout in
        callLater(timeout) {
          isInTime = false
          waiter.resume()
        }
      }
      waiter.onCancel = { timer?.cancel() }
      let waiting = LoopBound(waiter)
      executor.shutdown(cancelPending: false) {
        // A loop that closed meanwhile does not want to know any more.
        _ = try? remote.callSoonThreadsafe { _ in waiting.value.resume() }
      }
    }
    timer?.cancel()
    if let timeout, !isInTime {
      EventLoop.log.warning("the default executor still has work after \(timeout), which is abandoned")
    }
  }

  private func usableDefaultExecutor() throws(EventLoopError) -> any BlockingExecutor {
    if isDefaultExecutorShutDown {
      throw EventLoopError(.executorShutDown, "runInExecutor: the default executor was shut down")
    }
    if let defaultExecutor { return defaultExecutor }
    let made = ThreadPoolExecutor(threadNamePrefix: "asyncio")
    defaultExecutor = made
    return made
  }

  /// Runs blocking work on an executor, and brings its answer back.
  func onThread<Success>(
    _ executor: any BlockingExecutor, _ method: StaticString, _ work: sending @escaping () throws -> Success
  ) async throws -> sending Success {
    let exchange = Exchange(work)
    let remote = remote
    try await wait(method) { waiter in
      let waiting = LoopBound(waiter)
      // A loop that closed meanwhile wants no answer any more.
      let job = BlockingJob {
        exchange.run()
        _ = try? remote.callSoonThreadsafe { _ in waiting.value.resume() }
      } onCancel: {
        _ = try? remote.callSoonThreadsafe { _ in waiting.value.resume(.failure(CancellationError())) }
      }
      // The executor alone holds the job. One that it drops is released by that, and so cancelled, which wakes the waiter.
      waiter.onCancel = { [weak job] in _ = job?.cancel() }
      if kernel.takeOver(job, for: method) { return }
      do { try executor.submit(job) } catch { waiter.resume(.failure(error)) }
    }
    guard let result = exchange.result.take() else {
      misuse("\(method) woke its waiter without an answer")
    }
    switch result {
    case .success(let success): return success
    case .failure(let error): throw error
    }
  }
}

/// Work on its way to a thread, and its result on the way back.
private final class Exchange<Success>: Sendable {
  private let work: HandOver<() throws -> Success>
  let result = HandOver<Result<Success, any Error>>()

  init(_ work: sending @escaping () throws -> Success) { self.work = HandOver(work) }

  /// Runs the work, and lets go of it before anybody hears of the result, which may share what it captured.
  func run() {
    guard let outcome = runOnce() else { return }
    result.put(outcome)
  }

  private func runOnce() -> sending Result<Success, any Error>? {
    guard let work = work.take() else { return nil }
    do { return .success(try work()) } catch { return .failure(error) }
  }
}
