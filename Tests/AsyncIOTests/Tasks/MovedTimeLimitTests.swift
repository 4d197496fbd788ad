// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct MovedTimeLimitTests {
  @Test("a limit that is moved in the tick in which it is over is not over", arguments: [true, false])
  func movedInTheLastTick(_ hasNewDeadline: Bool) throws {
    try runLoop { loop, kernel in
      kernel.stopClock()
      let begun = loop.time
      let moved = Future<Void>(loop)
      let task = loop.createTask(eager: true) { () async throws -> Duration in
        try await loop.withTimeout(.seconds(1)) { (limit: TimeLimit) in
          // Both are due in one tick, this one first.
          loop.callAt(begun.advanced(by: .seconds(1) - .nanoseconds(1))) {
            limit.reschedule(at: hasNewDeadline ? loop.time.advanced(by: .seconds(10)) : nil)
            try moved.setResult(())
          }
          try await loop.sleep(for: .seconds(5))
        }
        return begun.duration(to: loop.time)
      }
      kernel.advanceClock(by: .seconds(1))
      try await moved.value
      kernel.advanceClock(by: .seconds(4))
      #expect(try await task.value == .seconds(5))
      #expect(loop.core.timers.count == 0)
    }
  }
}
