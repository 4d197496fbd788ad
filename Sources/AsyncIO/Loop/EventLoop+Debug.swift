// SPDX-License-Identifier: Apache-2.0
import Logging

extension EventLoop {
  /// What a slow entry is called by.
  private enum EntryKind {
    case callback(CallSite?), remoteCall, wakeUp
    case step((name: String?, callSite: CallSite)?)
  }

  /// Runs an entry of the ready queue and logs it when it was slow. Debug mode only.
  func runTimed(_ entry: consuming ReadyQueue.Entry) {
    // Looked at first: a callback lets go of its work, and a job and its task are gone, once it ran.
    let kind: EntryKind
    switch entry {
    case .callback(let call): kind = .callback(call.callSite)
    case .wakeUp: kind = .wakeUp
    case .remoteCall: kind = .remoteCall
    case .job(let job, _): kind = .step(tasks.context(job.taskIdentity).map { ($0.task.name, $0.task.callSite) })
    }
    let start = time
    run(consume entry)
    let duration = start.duration(to: time)
    guard duration >= slowCallbackDuration else { return }
    let label =
      switch kind {
      case .callback(let callSite): "callback" + (callSite.map { " scheduled at \($0)" } ?? "")
      case .remoteCall: "callback from another thread"
      case .wakeUp: "wake-up of a task"
      case .step(let task?): "step of task" + (task.name.map { " \"\($0)\"" } ?? "") + " made at \(task.callSite)"
      case .step(nil): "step of a task that is not the loop's own"
      }
    EventLoop.log.warning("slow: \(label) took \(duration)")
  }
}
