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
