// SPDX-License-Identifier: Apache-2.0
import Logging

extension EventLoop {
  /// Runs an entry of the ready queue and logs it when it was slow. Debug mode only.
  func runTimed(_ entry: ReadyQueue.Entry) {
    // Looked at first: a callback lets go of its work, and a job and its task are gone, once it ran.
    let callSite: CallSite?
    var task: (name: String?, callSite: CallSite)?
    switch entry {
    case .callback(let call): callSite = call.callSite
    case .wakeUp, .remoteCall: callSite = nil
    case .job(let job, _):
      callSite = nil
      task = tasks.context(job.taskIdentity).map { ($0.task.name, $0.task.callSite) }
    }
    let start = time
    run(entry)
    let duration = start.duration(to: time)
    guard duration >= slowCallbackDuration else { return }
    let label =
      switch entry {
      case .callback: "callback" + (callSite.map { " scheduled at \($0)" } ?? "")
      case .remoteCall: "callback from another thread"
      case .wakeUp: "wake-up of a task"
      case .job:
        "step of "
          + (task.map { task in
            "task" + (task.name.map { " \"\($0)\"" } ?? "") + " made at \(task.callSite)"
          } ?? "a task that is not the loop's own")
      }
    EventLoop.log.warning("slow: \(label) took \(duration)")
  }
}
