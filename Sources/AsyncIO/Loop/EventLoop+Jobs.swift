// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs a Swift job by the executor that it was enqueued on.
  func run(_ job: UnownedJob, on executor: JobExecutor) {
    switch executor {
    case .task: job.run(on: taskExecutor)
    case .serial: job.run(on: serialExecutor)
    case .adoptedMain: job.run(on: LoopAdoption.mainExecutor)
    case .adoptedDefault: job.run(on: LoopAdoption.defaultExecutor)
    }
  }

  /// The executor for actors that want to live on this loop: return its `asUnownedSerialExecutor()` from the actor's
  /// `unownedExecutor`.
  public var actorExecutor: any SerialExecutor { serialExecutor }

  /// Has the process's main work arrive here for as long as this run lasts.
  func beginServingMainThread() {
    LoopAdoption.bind(taskExecutor.door)
    watchMainDispatchQueue()
  }

  func endServingMainThread() {
    LoopAdoption.unbind()
    unwatchMainDispatchQueue()
  }
}
