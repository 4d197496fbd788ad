// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Testing

@Suite struct VirtualTimeTests {
  @Test("An hour of sleep takes no time, and the clock shows an hour more, to the nanosecond")
  func hour() async throws {
    let start = ContinuousClock.now
    let slept = try await withTestLoop { loop in
      let begin = loop.time
      try await loop.sleep(for: .seconds(3600))
      return begin.duration(to: loop.time)
    }
    #expect(slept == .seconds(3600))
    // Far less than an hour, on however busy a machine.
    #expect(ContinuousClock.now - start < .seconds(600))
  }

  @Test("Timers come up in order, each at its own moment")
  func order() async throws {
    let seen = try await withTestLoop { loop in
      let begin = loop.time
      var seen: [String] = []
      for (name, delay) in [("c", 3), ("a", 1), ("b", 2), ("b2", 2)] {
        loop.callLater(.seconds(delay)) { seen.append("\(name) at \(begin.duration(to: loop.time))") }
      }
      try await loop.sleep(for: .seconds(3))
      return seen
    }
    #expect(seen == ["a at 1.0 seconds", "b at 2.0 seconds", "b2 at 2.0 seconds", "c at 3.0 seconds"])
  }

  @Test("Task.sleep goes by the loop's clock")
  func taskSleep() async throws {
    let slept = try await withTestLoop { loop in
      let begin = loop.time
      try await Task.sleep(for: .seconds(7))
      let first = begin.duration(to: loop.time)
      try await Task.sleep(nanoseconds: 5)
      return [first, begin.duration(to: loop.time)]
    }
    #expect(slept == [.seconds(7), .seconds(7) + .nanoseconds(5)])
  }

  @Test("What a program measures by the standard library's clocks is the loop's time, and real time outside")
  func standardClocks() async throws {
    let before = ContinuousClock.now
    try await withTestLoop { loop in
      let (continuous, suspending) = (ContinuousClock.now, SuspendingClock.now)
      try await loop.sleep(for: .seconds(86_400))
      #expect(ContinuousClock.now - continuous == .seconds(86_400))
      #expect(SuspendingClock.now - suspending == .seconds(86_400))
    }
    let taken = ContinuousClock.now - before
    #expect(taken > .zero && taken < .seconds(600))
  }

  @Test("A time limit ends what takes longer, at its moment")
  func timeLimit() async throws {
    let ended = try await withTestLoop { loop in
      let begin = loop.time
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.seconds(30)) { try await loop.sleep(for: .seconds(31)) }
      }
      return begin.duration(to: loop.time)
    }
    #expect(ended == .seconds(30))
  }
}
