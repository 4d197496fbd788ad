// SPDX-License-Identifier: Apache-2.0

/// The task that the caller is in, whoever made it.
enum CurrentTask {
  /// Whether there is one.
  static var exists: Bool { identity != nil }

  /// What tells it from every other task that has not ended; nil outside of tasks.
  static var identity: UInt? {
    unsafe withUnsafeCurrentTask { task in
      // The type is frozen as one reference to the task, which is only compared.
      unsafe task.map { unsafe unsafeBitCast($0, to: UInt.self) }
    }
  }
}

extension UnownedJob {
  /// What tells the task that the job is a step of from others; of no meaning for other jobs.
  var taskIdentity: UInt { unsafe unsafeBitCast(self, to: UInt.self) }
}
