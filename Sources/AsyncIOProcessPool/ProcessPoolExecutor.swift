// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// A pool of processes for work that computes. concurrent.futures' `ProcessPoolExecutor`.
///
/// A worker is this program, started again: it needs to call ``serveIfWorker(_:)`` before it does anything else. Jobs are
/// values of a type that both sides know, see ``ProcessJob``. A job goes to an idle worker if there is one, else to a new
/// one as long as there are fewer than ``maxWorkers``, else it waits; jobs begin in the order in which they came.
///
/// What threads cannot do: a job that crashes ends its worker and nothing else, and a job whose task is cancelled really
/// stops, since its worker is killed. New workers take the places of both.
///
/// A pool belongs to its loop's thread. Its workers end with it, with its loop, or with this process, whichever is first.
/// They ignore SIGINT, have the null device for standard input, and this program's standard output and error.
public final class ProcessPoolExecutor {
  /// The loop that drives it.
  public let loop: EventLoop
  /// How many workers it has at the most.
  public let maxWorkers: Int
  private let program: FilePath
  private let startTimeout: Duration
  private var state: PoolState
  private var workers: [PoolState.WorkerID: PoolWorker] = [:]
  /// What is to be sent, and who waits for the answer.
  private var jobs: [PoolState.JobID: (name: String, bytes: [UInt8], outcome: Future<Frame>)] = [:]
  private var nextJob = 0
  /// Set when a shutdown is complete.
  private let end: Future<Void>
  /// How the last worker that ended did.
  private var lastEnd = ""

  /// Makes a pool, which has no worker until it is given a job.
  ///
  /// - Parameters:
  ///   - loop: the loop that drives it.
  ///   - maxWorkers: how many processes at the most, at least one; nil for as many as there are processors.
  ///   - executable: the program to start; nil for this one. Another one must know the jobs by the same names.
  ///   - startTimeout: how long a worker may take from its start to `serveIfWorker`.
  /// - Throws: ``ProcessPoolError`` `.notServing` when this program has not called ``serveIfWorker(_:)``: its worker
  ///   would not either, but make a pool of its own.
  public init(
    _ loop: EventLoop, maxWorkers: Int? = nil, executable: FilePath? = nil, startTimeout: Duration = .seconds(10)
  ) throws(ProcessPoolError) {
    let limit = maxWorkers ?? Environment.processorCount
    require(limit > 0, "ProcessPoolExecutor: maxWorkers must be above zero")
    if executable == nil, JobRegistry.isEmpty {
      throw ProcessPoolError(
        .notServing, "ProcessPoolExecutor: call ProcessPoolExecutor.serveIfWorker first thing in main")
    }
    self.loop = loop
    self.maxWorkers = limit
    program = executable ?? ServingProcess.ownProgram
    self.startTimeout = startTimeout
    state = PoolState(maxWorkers: limit)
    end = Future(loop)
  }

  deinit {
    // Nobody waits for a job: whoever does holds the pool.
    if loop.isClosed { return }
    for worker in workers.values { worker.kill() }
  }

  /// How many workers there are, those that are being started among them.
  public var workerCount: Int { state.workerCount }

  /// The process ids of the workers, to watch them from outside.
  public var workerProcesses: [Int32] { workers.values.compactMap(\.pid).sorted() }

  // MARK: Jobs

  /// Does a job in a worker process, and awaits its output.
  ///
  /// Cancelling the task takes the job back; when it is being done, its worker is killed. Encoding and decoding happen on
  /// the loop's thread: keep large data in files that both sides read, or in shared memory.
  ///
  /// - Throws: ``RemoteJobError`` when the job throws; ``ProcessPoolError`` `.workerDied` when its process does not
  ///   survive it, `.startFailed` when there is no worker to be had, `.unregisteredJob` when the worker does not know it,
  ///   `.shutDown`, `.tooLarge` beyond one GiB; `EncodingError`, `DecodingError` when the `Codable` of the job or its
  ///   output is of no use; `CancellationError`, also when the job is cancelled by a shutdown.
  public func run<Job: ProcessJob>(_ job: Job) async throws -> Job.Output {
    if loop.isClosed { throw EventLoopError.closed }
    try Task.checkCancellation()
    if state.isShutDown { throw ProcessPoolError.shutDown }
    let id = nextJob
    nextJob += 1
    guard let frame = Frame.job(id, Job.jobName, try Coding.encode(job)) else { throw ProcessPoolError.nameTooLong }
    guard let bytes = frame.bytes else { throw ProcessPoolError.tooLarge }
    let outcome = Future<Frame>(loop)
    jobs[id] = (Job.jobName, bytes, outcome)
    perform(state.submit(id))
    let answer: Frame
    do {
      answer = try await outcome.value
    } catch {
      // It has an outcome unless it was the task that was cancelled. The outcome's error is not lost: it is this one.
      if outcome.result == nil {
        jobs[id] = nil
        perform(state.cancel(id))
      }
      throw error
    }
    switch answer.kind {
    case .output: return try Coding.decode(Job.Output.self, from: answer.body)
    case .failure: throw try Coding.decode(RemoteJobError.self, from: answer.body)
    case .unregistered: throw ProcessPoolError.unregistered(Job.jobName)
    case .tooLarge: throw ProcessPoolError.tooLarge
    case .hello, .job: misuse("a worker's answer is none")
    }
  }

  // MARK: The end

  /// Takes no more jobs, waits until those that it has are done, and ends the workers. concurrent.futures' `shutdown`.
  ///
  /// It may be called again, also to wait after a call whose task was cancelled.
  ///
  /// - Parameter cancelPending: whether to cancel the jobs that have not begun; else they are done.
  /// - Throws: `CancellationError` when the task is cancelled, which ends the wait and nothing else.
  public func shutdown(cancelPending: Bool = false) async throws {
    perform(state.shutdown(cancelPending: cancelPending))
    endIfDone()
    try await end.value
  }

  /// Takes no more jobs, cancels those that it has, and kills the workers. concurrent.futures' `kill_workers`.
  public func terminate() {
    perform(state.terminate())
    endIfDone()
  }

  private func endIfDone() {
    if state.isShutDown, state.isDone, workers.isEmpty, !end.isDone { try? end.setResult(()) }
  }

  // MARK: Workers

  private func perform(_ actions: [PoolState.Action]) {
    if loop.isClosed { return }
    for action in actions {
      switch action {
      case .start(let worker): start(worker)
      case .send(let job, let worker):
        guard let entry = jobs[job] else { continue }
        // The bytes are the worker's from here on.
        jobs[job]?.bytes = []
        workers[worker]?.send(entry.bytes)
      case .fail(let job): complete(job, .failure(ProcessPoolError(.startFailed, "no worker started: \(lastEnd)")))
      case .lost(let job):
        let name = jobs[job]?.name ?? ""
        complete(job, .failure(ProcessPoolError(.workerDied, "\(name): \(lastEnd)")))
      case .cancel(let job): complete(job, .failure(CancellationError()))
      case .dismiss(let worker): workers[worker]?.dismiss()
      case .kill(let worker): workers[worker]?.kill()
      }
    }
  }

  private func complete(_ job: PoolState.JobID, _ result: Result<Frame, any Error>) {
    guard let outcome = jobs.removeValue(forKey: job)?.outcome else { return }
    switch result {
    case .success(let frame): try? outcome.setResult(frame)
    case .failure(let error): try? outcome.setError(error)
    }
  }

  private func start(_ id: PoolState.WorkerID) {
    // The worker does not keep the pool: one that is dropped ends its workers.
    let worker = PoolWorker(loop) { [weak self] event in self?.handle(event, of: id) }
    workers[id] = worker
    let (program, startTimeout) = (program, startTimeout)
    loop.createTask(name: "start of a worker process") { await worker.start(program, within: startTimeout) }
  }

  private func handle(_ event: PoolWorker.Event, of id: PoolState.WorkerID) {
    switch event {
    case .hello:
      perform(state.workerIsReady(id))
    case .answer(let frame):
      guard let actions = state.workerIsDone(id, frame.job) else {
        workers[id]?.giveUp("sent an answer that nobody waits for")
        break
      }
      complete(frame.job, .success(frame))
      perform(actions)
    case .unusable(let reason):
      lastEnd = reason
      perform(state.workerHasEnded(id))
    case .ended(let reason):
      workers[id] = nil
      lastEnd = reason
      perform(state.workerHasEnded(id))
    }
    endIfDone()
  }
}

extension EventLoop {
  /// Does a job in a process of a pool, and awaits its output. asyncio's `run_in_executor` with a
  /// `ProcessPoolExecutor`.
  ///
  /// - Throws: as ``ProcessPoolExecutor/run(_:)``.
  public func runInExecutor<Job: ProcessJob>(_ pool: ProcessPoolExecutor, _ job: Job) async throws -> Job.Output {
    guard pool.loop === self else { throw EventLoopError.foreignLoop }
    return try await pool.run(job)
  }
}
