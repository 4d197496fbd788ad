// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// Who does which job: decides, and leaves it to the pool to do it.
///
/// A job is given only to a worker that has said hello, so that a worker that dies before has lost none. Jobs wait in
/// one queue, first in, first out.
struct PoolState {
  typealias JobID = Int
  typealias WorkerID = Int

  enum Action: Equatable {
    case start(WorkerID)
    case send(JobID, WorkerID)
    /// Nobody will do the job, since no worker starts.
    case fail(JobID)
    /// The job's worker is gone.
    case lost(JobID)
    /// Takes the job back.
    case cancel(JobID)
    /// Ends a worker that has nothing to do.
    case dismiss(WorkerID)
    /// Ends a worker whatever it does.
    case kill(WorkerID)
  }

  private enum Worker: Equatable {
    case starting, idle
    case busy(JobID)
  }

  private let maxWorkers: Int
  /// Those that live, and are not being ended.
  private var workers: [WorkerID: Worker] = [:]
  /// Those without a job; the one that was busy last is the next to be.
  private var idle: [WorkerID] = []
  /// May have jobs that were cancelled: those are not in `waiting` any more.
  private var queue = Deque<JobID>()
  private var waiting: Set<JobID> = []
  private var nextWorker = 0
  private(set) var isShutDown = false

  init(maxWorkers: Int) { self.maxWorkers = maxWorkers }

  /// Whether no job is left, waiting or being done.
  var isDone: Bool {
    waiting.isEmpty && workers.values.allSatisfy { if case .busy = $0 { false } else { true } }
  }

  var workerCount: Int { workers.count }

  mutating func submit(_ job: JobID) -> [Action] {
    queue.append(job)
    waiting.insert(job)
    return assign()
  }

  mutating func workerIsReady(_ worker: WorkerID) -> [Action] {
    guard workers[worker] == .starting else { return [] }
    return becameIdle(worker)
  }

  /// A worker has answered.
  ///
  /// - Returns: nil when that is not the job it was given: no worker of ours does that.
  mutating func workerIsDone(_ worker: WorkerID, _ job: JobID) -> [Action]? {
    guard workers[worker] == .busy(job) else { return nil }
    return becameIdle(worker)
  }

  /// A worker is gone, or of no use any more.
  mutating func workerHasEnded(_ worker: WorkerID) -> [Action] {
    guard let was = workers.removeValue(forKey: worker) else { return [] }
    idle.removeAll { $0 == worker }
    switch was {
    case .busy(let job): return [.lost(job)] + assign()
    case .idle: return assign()
    case .starting:
      // The next would hardly fare better. As long as there are others, they do the work.
      return workers.isEmpty ? failAll() : []
    }
  }

  /// Takes a job back. A worker that is at it is ended: nothing else stops it.
  mutating func cancel(_ job: JobID) -> [Action] {
    if waiting.remove(job) != nil {
      if queue.count > 64, queue.count > 2 * waiting.count { queue.removeAll { [waiting] in !waiting.contains($0) } }
      return dismissIfDone()
    }
    guard let worker = workers.first(where: { $0.value == .busy(job) })?.key else { return [] }
    workers[worker] = nil
    return [.kill(worker)] + assign()
  }

  mutating func shutdown(cancelPending: Bool) -> [Action] {
    isShutDown = true
    var actions: [Action] = []
    if cancelPending {
      actions = queue.filter(waiting.contains).map { .cancel($0) }
      waiting.removeAll()
      queue.removeAll()
    }
    return actions + dismissIfDone()
  }

  mutating func terminate() -> [Action] {
    var actions = shutdown(cancelPending: true)
    for (worker, was) in workers.sorted(by: { $0.key < $1.key }) {
      if case .busy(let job) = was { actions.append(.cancel(job)) }
      actions.append(.kill(worker))
    }
    workers.removeAll()
    idle.removeAll()
    return actions
  }

  // MARK: Decisions

  private mutating func becameIdle(_ worker: WorkerID) -> [Action] {
    workers[worker] = .idle
    idle.append(worker)
    return assign()
  }

  /// Hands out what waits, and starts workers for what is left.
  private mutating func assign() -> [Action] {
    var actions: [Action] = []
    while let job = queue.first {
      if !waiting.contains(job) {
        queue.removeFirst()
      } else if let worker = idle.popLast() {
        queue.removeFirst()
        waiting.remove(job)
        workers[worker] = .busy(job)
        actions.append(.send(job, worker))
      } else {
        break
      }
    }
    var starting = workers.values.count { $0 == .starting }
    while starting < waiting.count, workers.count < maxWorkers {
      workers[nextWorker] = .starting
      actions.append(.start(nextWorker))
      nextWorker += 1
      starting += 1
    }
    return actions + dismissIfDone()
  }

  private mutating func failAll() -> [Action] {
    let actions = queue.filter(waiting.contains).map { Action.fail($0) }
    waiting.removeAll()
    queue.removeAll()
    return actions
  }

  /// After a shutdown, the workers that are not busy have nothing to stay for once no job waits.
  private mutating func dismissIfDone() -> [Action] {
    guard isShutDown, waiting.isEmpty else { return [] }
    var actions: [Action] = []
    for (worker, was) in workers.sorted(by: { $0.key < $1.key }) {
      if case .busy = was { continue }
      workers[worker] = nil
      actions.append(was == .idle ? .dismiss(worker) : .kill(worker))
    }
    idle.removeAll()
    return actions
  }
}
