// SPDX-License-Identifier: Apache-2.0
import Synchronization

// Two objects, since a job must be run by the method of the executor that it was enqueued on: a task-executor job that
// is run as a serial-executor's pays an extra hop at each suspension, and may lose wake-ups.

/// Runs the nonisolated parts of a loop's tasks, on the loop's thread.
final class LoopTaskExecutor: TaskExecutor {
  let door: JobDoor

  init(_ door: JobDoor) { self.door = door }

  func enqueue(_ job: consuming ExecutorJob) {
    door.enqueue(UnownedJob(job), on: .task)
  }
}

/// Runs actors that choose the loop as their executor.
final class LoopSerialExecutor: SerialExecutor {
  let door: JobDoor
  private let isKept = Atomic(false)
  /// Those that were handed out to actors, whose references to their executors keep nothing alive.
  private static let kept = Mutex<[LoopSerialExecutor]>([])

  init(_ door: JobDoor) { self.door = door }

  func keepForever() {
    if isKept.exchange(true, ordering: .relaxed) { return }
    LoopSerialExecutor.kept.withLock { $0.append(self) }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    door.enqueue(UnownedJob(job), on: .serial)
  }

  func checkIsolated() {
    require(door.isOnLoopThread, "this code belongs to the thread of its event loop")
  }

  func isIsolatingCurrentContext() -> Bool? { door.isOnLoopThread }
}

/// Where Swift's jobs come in: straight into the queue on the loop's thread, through the mailbox from elsewhere.
struct JobDoor: Sendable {
  private let core: LoopBound<LoopCore>
  let mailbox: Mailbox

  init(_ core: LoopCore) {
    self.core = LoopBound(core)
    mailbox = core.mailbox
  }

  var isOnLoopThread: Bool { mailbox.isOnRunnersThread }

  /// False when the loop is closed: then the job is dropped, since nobody may run it any more.
  @discardableResult
  func enqueue(_ job: UnownedJob, on executor: JobExecutor) -> Bool {
    guard isOnLoopThread else { return mailbox.post(.job(job, executor)) }
    core.value.schedule(job, executor)
    return true
  }

  @discardableResult
  func enqueue(_ job: UnownedJob, on executor: JobExecutor, deadline: Int64) -> Bool {
    guard isOnLoopThread else { return mailbox.post(.timedJob(job, executor, deadline: deadline)) }
    core.value.schedule(job, executor, deadline: deadline)
    return true
  }

  /// Runs the closure on the loop's thread: now if that is this one, else as soon as the loop gets to it.
  func perform(_ body: @escaping @Sendable () -> Void) {
    if isOnLoopThread {
      body()
    } else {
      mailbox.post(.call(RemoteHandle { _ in body() }))
    }
  }

  /// The deadline on the loop's clock of a delay that begins now.
  func deadline(after delay: Duration) -> Int64 {
    core.value.clock.now.advanced(by: delay).nanoseconds
  }
}
