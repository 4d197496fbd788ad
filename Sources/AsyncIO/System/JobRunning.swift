// SPDX-License-Identifier: Apache-2.0

extension UnownedJob {
  /// Runs the job, which must have been enqueued on this very executor, and which nobody else may run.
  @inline(__always)
  func run(on executor: some TaskExecutor) {
    unsafe runSynchronously(on: executor.asUnownedTaskExecutor())
  }

  /// Runs the job, which must have been enqueued on this very executor, and which nobody else may run.
  @inline(__always)
  func run(on executor: some SerialExecutor) {
    unsafe runSynchronously(on: executor.asUnownedSerialExecutor())
  }
}
