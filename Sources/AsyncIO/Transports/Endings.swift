// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// The transports of a loop that have ended and still have to tell their protocols, which each of them does in a later iteration, and
/// the operating system, which takes its time for each. So few of them have their turn in one iteration that others do not
/// wait for thousands that end at once.
final class Endings {
  /// How many have their turn in one iteration. The system takes some 20 us for each.
  static let perIteration = 200

  private struct Ending {
    let transport: DescriptorTransport
    let error: (any Error)?
  }

  /// Those that were due in an earlier iteration.
  private var late = Deque<Ending>()
  /// How many have had their turn in this iteration.
  private var count = 0

  /// Has the transport tell of its end, in an iteration to come.
  func schedule(_ transport: DescriptorTransport, _ error: (any Error)?) {
    transport.loop.callSoon { [self] in
      late.append(Ending(transport: transport, error: error))
      // Behind those that are late, it is as well.
      if late.count == 1 { goOn(transport.loop) }
    }
  }

  /// Gives those that are due their turns, and the rest in the next iteration. What has ended before a stop is told before that.
  private func goOn(_ loop: EventLoop) {
    while count < Endings.perIteration || loop.core.ready.stopMark != nil, let ending = late.popFirst() {
      count += 1
      if count == 1 { loop.callSoon { [self] in nextIteration(loop) } }
      ending.transport.tellLost(ending.error)
    }
  }

  private func nextIteration(_ loop: EventLoop) {
    count = 0
    goOn(loop)
  }

  /// The loop is closed: nobody is told any more.
  func removeAll() {
    // Released when this is done changing: what goes with them may be the program's.
    let dropped = late
    late.removeAll()
    withExtendedLifetime(dropped) {}
  }
}
