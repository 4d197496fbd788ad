// SPDX-License-Identifier: Apache-2.0
import Dispatch

/// A pool of threads for blocking work. concurrent.futures' `ThreadPoolExecutor`.
///
/// A job goes to an idle thread if there is one, else to a new one as long as there are fewer than ``maxWorkers``, else
/// it waits; jobs begin in the order in which they came. A thread without work ends after ten seconds.
///
/// Nothing waits for the threads at the end of the process, so that a job that hangs cannot hold it up: shut the pool
/// down to be sure that its jobs are done. A pool that is dropped runs what it was given, and ends.
public final class ThreadPoolExecutor: BlockingExecutor {
  /// How many threads it has at the most.
  public let maxWorkers: Int
  private let threads: WorkerThreads

  /// Makes a pool, which has no thread until it is given a job.
  ///
  /// - Parameters:
  ///   - maxWorkers: how many threads at the most, at least one; nil for four more than there are processors, but no
  ///     more than 32.
  ///   - threadNamePrefix: what the threads' names begin with. An underscore and a number follow; the system shows 15
  ///     bytes of it all.
  ///   - stackSize: how much stack a thread has, in bytes, above zero; nil for the system's default. The system refuses
  ///     too little when a thread is made.
  public convenience init(maxWorkers: Int? = nil, threadNamePrefix: String = "worker", stackSize: Int? = nil) {
    require((stackSize ?? 1) > 0, "ThreadPoolExecutor: stackSize must be above zero")
    let limit = maxWorkers ?? min(32, Environment.processorCount + 4)
    self.init(WorkerThreads.Options(limit: limit, name: threadNamePrefix, stackSize: stackSize))
  }

  convenience init(_ options: WorkerThreads.Options) { self.init(WorkerThreads(options)) }

  init(_ threads: WorkerThreads) {
    require(threads.limit > 0, "ThreadPoolExecutor: maxWorkers must be above zero")
    maxWorkers = threads.limit
    self.threads = threads
  }

  deinit {
    threads.shutdown(cancelPending: false) {}
  }

  /// Queues a job. concurrent.futures' `submit`.
  ///
  /// - Throws: ``EventLoopError`` `.executorShutDown` after a shutdown; ``IOError`` when the system refuses a thread and
  ///   there is none yet.
  public func submit(_ job: BlockingJob) throws {
    let isTaken: Bool
    do throws(Errno) { isTaken = try threads.submit(job) } catch { throw IOError(error, "pthread_create") }
    if !isTaken { throw EventLoopError.executorShutDown }
  }

  /// Takes no more jobs, and ends the threads when those that it has are done. concurrent.futures' `shutdown`, for those
  /// who may not block.
  ///
  /// - Parameters:
  ///   - cancelPending: whether to cancel the jobs that have not begun; else they are run.
  ///   - whenDone: called once the last thread has no more to do, by that thread or by the caller.
  public func shutdown(cancelPending: Bool, whenDone: @escaping @Sendable () -> Void) {
    threads.shutdown(cancelPending: cancelPending, whenDone: whenDone)
  }

  /// Takes no more jobs, and ends the threads when those that it has are done. concurrent.futures' `shutdown`.
  ///
  /// It may be called again, also to wait after all. To wait on one of the pool's own threads is a programmer error. To
  /// wait on a loop's thread holds up the loop.
  ///
  /// - Parameters:
  ///   - wait: whether to block until all threads have ended.
  ///   - cancelPending: whether to cancel the jobs that have not begun; else they are run.
  public func shutdown(wait: Bool = true, cancelPending: Bool = false) {
    guard wait else { return threads.shutdown(cancelPending: cancelPending) {} }
    require(
      !threads.isOnMember, "ThreadPoolExecutor.shutdown: a thread of the pool cannot wait for itself; pass wait: false")
    let isDone = DispatchSemaphore(value: 0)
    threads.shutdown(cancelPending: cancelPending) { isDone.signal() }
    isDone.wait()
  }

  /// How many threads there are, how many of them wait, and how many jobs are queued.
  var counts: (threads: Int, idle: Int, queued: Int) { threads.counts }
}
