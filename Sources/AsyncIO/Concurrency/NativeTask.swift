// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// A native task, whoever made it.
@safe
struct NativeTask {
  // Never followed, only compared and handed to the runtime while the task runs.
  private let reference: UnsafeMutableRawPointer

  /// The one that the caller is in; nil outside of tasks.
  static var current: NativeTask? {
    unsafe casyncio_current_task().map { unsafe NativeTask(reference: $0) }
  }

  /// What tells it from every other task that has not ended.
  var identity: UInt { unsafe UInt(bitPattern: reference) }

  /// Whether it was cancelled. For tasks that have not ended.
  var isCancelled: Bool { unsafe casyncio_task_is_cancelled(reference) != 0 }

  /// Cancels it. For tasks that have not ended.
  func cancel() { unsafe casyncio_cancel_task(reference) }
}

extension Task {
  /// What tells it from every other task that has not ended.
  var identity: UInt { unsafe unsafeBitCast(self, to: UInt.self) }
}

extension UnownedJob {
  /// What tells the task that the job is a step of from others; of no meaning for other jobs.
  var taskIdentity: UInt { unsafe unsafeBitCast(self, to: UInt.self) }
}
