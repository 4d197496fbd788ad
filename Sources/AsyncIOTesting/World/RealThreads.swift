// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Dispatch

/// Waiting for threads outside of the world: an actor of the program's, a detached task. Their answers come in real time,
/// which the world knows nothing of, and so it gives them a little before it lets its own time pass.
struct RealThreads {
  /// How long to look out for an answer before the clock is moved, in real time.
  private static let patience = Duration.milliseconds(20)
  /// How many tasks waited when no answer came: for those it is not waited again.
  private var givenUp = 0

  /// Whether a machine that waits for such a thread has got an answer.
  mutating func mayAnswer(_ machines: [Machine], _ now: Int64) -> Bool {
    var count = 0
    for machine in machines { count += machine.loop.foreignWaits }
    if count <= givenUp {
      givenUp = count
      return false
    }
    StandardClocks.showRealTime()
    defer { StandardClocks.show(now) }
    let pause = DispatchSemaphore(value: 0)
    let end = ContinuousClock.now + RealThreads.patience
    while ContinuousClock.now < end {
      if machines.contains(where: \.loop.hasWork) { return true }
      _ = pause.wait(timeout: .now() + .microseconds(50))
    }
    givenUp = count
    return false
  }
}
