// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Runs a Swift job by the executor that it was enqueued on.
  func run(_ job: UnownedJob, on executor: JobExecutor) {
    if let stepLog = stepLog.value { stepLog.note(job.taskIdentity) }
    switch executor {
    case .task: job.run(on: taskExecutor)
    case .serial: job.run(on: serialExecutor)
    case .adoptedMain, .adoptedDefault, .nobody: LoopAdoption.run(job, executor)
    }
  }

  /// The executor for actors that want to live on this loop: return its `asUnownedSerialExecutor()` from the actor's
  /// `unownedExecutor`.
  ///
  /// An unowned executor keeps nothing alive. So an executor that was asked for here lives as long as the process, and an
  /// actor may outlive its loop; what is enqueued after the loop's close is dropped, and whoever awaits it waits for ever.
  public var actorExecutor: any SerialExecutor {
    serialExecutor.keepForever()
    return serialExecutor
  }

  /// Has the process's main work arrive here for as long as the body runs.
  func serveMain(_ body: () throws(EventLoopError) -> Void) throws(EventLoopError) {
    try watchMainDispatchQueue()
    defer { unwatchMainDispatchQueue() }
    let previous = LoopAdoption.bind(taskExecutor.door)
    defer { LoopAdoption.unbind(restoring: previous) }
    try body()
  }
}

extension EventLoop {
  /// Serves libdispatch's main queue, where `MainActor`'s work arrives unless the loop has adopted it, and where
  /// `DispatchQueue.main` sends its blocks in any case.
  private func watchMainDispatchQueue() throws(EventLoopError) {
    guard ThreadIdentity.isMain else { return }
    do {
      // It is open, unless the loop was made on another thread.
      try MainDispatchQueue.open()
      guard let descriptor = MainDispatchQueue.descriptor, readiness.watcher(of: descriptor) == nil else { return }
      try addReader(descriptor) { MainDispatchQueue.drain() }
    } catch {
      throw EventLoopError(.systemFailure, "the main dispatch queue cannot be served: \(error)")
    }
  }

  private func unwatchMainDispatchQueue() {
    guard let descriptor = MainDispatchQueue.descriptor else { return }
    _ = try? removeReader(descriptor)
  }
}
