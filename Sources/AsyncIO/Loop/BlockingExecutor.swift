// SPDX-License-Identifier: Apache-2.0

/// Something that runs blocking work away from the loop's thread. concurrent.futures' `Executor`.
///
/// ``ThreadPoolExecutor`` is one; bring your own to use threads that are there already, or that need a special care.
/// All of it may be called from any thread.
public protocol BlockingExecutor: Sendable {
  /// Has the job's ``BlockingJob/run()`` called, some time, on a thread that may block.
  ///
  /// A job that was cancelled before may be run all the same: that does nothing. One that is dropped without being run
  /// counts as cancelled.
  ///
  /// - Throws: ``EventLoopError`` `.executorShutDown` after a shutdown, or what keeps it from taking the job.
  func submit(_ job: BlockingJob) throws

  /// Takes no more jobs. Returns at once, may be called again, and interrupts nothing that runs.
  ///
  /// - Parameters:
  ///   - cancelPending: whether to cancel the jobs that have not begun; else they are run.
  ///   - whenDone: to be called once no job is left, on any thread.
  func shutdown(cancelPending: Bool, whenDone: @escaping @Sendable () -> Void)
}

extension BlockingExecutor {
  /// Runs a closure on the executor, when nobody waits for its outcome. concurrent.futures' `submit`.
  ///
  /// - Returns: the job, to cancel it as long as it has not begun.
  /// - Throws: ``EventLoopError`` `.executorShutDown` after a shutdown; what the executor refuses it with.
  @discardableResult
  public func submit(_ work: @escaping @Sendable () -> Void) throws -> BlockingJob {
    let job = BlockingJob(work)
    try submit(job)
    return job
  }
}
