// SPDX-License-Identifier: Apache-2.0
import Logging

extension EventLoop {
  /// Runs an entry of the ready queue and logs it when it was slow. Debug mode only.
  func runTimed(_ entry: ReadyQueue.Entry) {
    // Looked at first: a callback lets go of its work, and a job is gone, once it ran.
    let label =
      switch entry {
      case .callback(let handle): "callback" + (handle.callSite.map { " scheduled at \($0)" } ?? "")
      case .remoteCall: "callback from another thread"
      case .job(let job, _): "task step (\(job))"
      }
    let start = time
    run(entry)
    let duration = start.duration(to: time)
    if duration >= slowCallbackDuration {
      EventLoop.log.warning("slow: \(label) took \(duration)")
    }
  }
}
