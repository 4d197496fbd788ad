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

  /// Runs a job that prefers no executor, such as the one that the runtime makes to end a `Task.sleep`. Run as a task
  /// executor's, it would go round by Swift's own threads before it wakes its sleeper.
  func runWithoutExecutor() {
    // The type is frozen as two words, and two zeros are the runtime's name for no executor in particular.
    unsafe runSynchronously(on: unsafeBitCast((0, 0), to: UnownedSerialExecutor.self))
  }
}
