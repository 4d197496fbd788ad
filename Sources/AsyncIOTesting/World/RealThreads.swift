// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Dispatch

/// Waiting for threads outside of the world: an actor of the program's, a detached task. Their answers come in real time,
/// which the world knows nothing of, and so it gives them a little before it lets its own time pass.
enum RealThreads {
  /// How long to look out for an answer before the clock is moved, in real time.
  private static let patience = Duration.milliseconds(20)

  /// Whether a machine that waits for such a thread has got an answer.
  static func mayAnswer(_ machines: [Machine], _ now: Int64) -> Bool {
    let waiting = machines.filter { $0.loop.foreignWaits > 0 }
    if waiting.isEmpty { return false }
    StandardClocks.showRealTime()
    defer { StandardClocks.show(now) }
    let pause = DispatchSemaphore(value: 0)
    let end = ContinuousClock.now + patience
    while ContinuousClock.now < end {
      if waiting.contains(where: \.loop.hasWork) { return true }
      _ = pause.wait(timeout: .now() + .microseconds(50))
    }
    return false
  }
}
