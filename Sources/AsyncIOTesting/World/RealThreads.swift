// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Dispatch

/// Waiting for threads outside of the world: an actor of the program's, a detached task. Their answers come in real time,
/// which the world knows nothing of, and so it gives them a little before it lets its own time pass.
struct RealThreads {
  /// How long to look out for an answer before the clock is moved, in real time. A busy machine keeps threads waiting for long.
  private static let patience = Duration.seconds(10)
  /// How many tasks waited when no answer came: for those it is not waited again, until something comes.
  private var givenUp = 0

  /// Something has come from another thread: so others may answer as well.
  mutating func somethingCame() { givenUp = 0 }

  /// Whether a machine that waits for such a thread has got an answer.
  ///
  /// - Parameter isLast: whether nothing else is left to happen.
  mutating func mayAnswer(_ machines: [Machine], _ now: Int64, isLast: Bool) -> Bool {
    var count = 0
    for machine in machines { count += machine.loop.foreignWaits }
    if isLast ? count == 0 : count <= givenUp {
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
