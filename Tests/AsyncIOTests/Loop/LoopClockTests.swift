// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct LoopClockTests {
  typealias Instant = EventLoop.Clock.Instant

  /// The longest and shortest durations that a count of nanoseconds tells.
  private static let longest = Duration.nanoseconds(Int64.max)
  private static let shortest = Duration.nanoseconds(Int64.min)
  private static let step = Duration.nanoseconds(1)

  @Test(
    "durations round up to nanoseconds, and stop at 292 years",
    arguments: [
      (Duration.zero, 0),
      (step, 1),
      (Duration(secondsComponent: 0, attosecondsComponent: 1), 1),
      (Duration(secondsComponent: 0, attosecondsComponent: 1_000_000_001), 2),
      (Duration(secondsComponent: 0, attosecondsComponent: -1), 0),
      (Duration(secondsComponent: 0, attosecondsComponent: -1_500_000_000), -1),
      (Duration.seconds(Int64(6_307_200_000)), 6_307_200_000_000_000_000),
      (Duration.seconds(Int64.max), Int64.max),
      (Duration.seconds(Int64.min), Int64.min),
      (longest, Int64.max),
      (longest - step, Int64.max - 1),
      (longest + step, Int64.max),
      (shortest, Int64.min),
      (shortest + step, Int64.min + 1),
      (shortest - step, Int64.min),
      (Duration.seconds(Int64(9_223_372_037)), Int64.max),
      (Duration.seconds(Int64(-9_223_372_037)), Int64.min),
    ] as [(Duration, Int64)])
  func clampedNanoseconds(_ duration: Duration, _ nanoseconds: Int64) {
    #expect(duration.clampedNanoseconds == nanoseconds)
  }

  @Test("moments stop at both ends of the clock")
  func instantOverflow() {
    let now = Instant(nanoseconds: 1000)
    func later(_ duration: Duration) -> Int64 { now.advanced(by: duration).nanoseconds }
    let margin = Duration.nanoseconds(1000)
    #expect(later(.seconds(Int64.max)) == Int64.max)
    #expect(later(LoopClockTests.longest) == Int64.max)
    #expect(later(LoopClockTests.longest - margin) == Int64.max)
    #expect(later(LoopClockTests.longest - margin - LoopClockTests.step) == Int64.max - 1)
    #expect(later(.seconds(Int64.min)) == Int64.min + 1000)
    #expect(later(.nanoseconds(-1500)) == -500)
    #expect(Instant(nanoseconds: -5).advanced(by: .seconds(Int64.min)) == Instant(nanoseconds: .min))
  }

  @Test("the distance of any two moments is a duration")
  func distance() {
    let first = Instant(nanoseconds: .min)
    let last = Instant(nanoseconds: .max)
    let all = LoopClockTests.longest - LoopClockTests.shortest
    #expect(first.duration(to: last) == all)
    #expect(last.duration(to: first) == Duration.zero - all)
    #expect(first < last)
    let now = Instant(nanoseconds: 7)
    #expect(now.advanced(by: now.duration(to: last)) == last)
  }

  @Test("time is monotonic, is the clock of callAt, and is the kernel's monotonic clock")
  func time() throws {
    try withLoop { loop, kernel in
      var last = loop.time
      for _ in 0..<1000 {
        let now = loop.time
        #expect(now >= last)
        last = now
      }
      let before = loop.time
      kernel.advanceClock(by: .seconds(5))
      #expect(before.duration(to: loop.time) >= .seconds(5))
      #expect(before.duration(to: loop.time) < .seconds(15))
      let distance: Int64 = kernel.monotonicNanoseconds() - loop.time.nanoseconds
      #expect(abs(distance) < 5_000_000_000)
      #expect(loop.clock.now >= loop.time.advanced(by: .seconds(-1)))
    }
  }

  @Test("the clock is a Swift clock: it measures and sleeps")
  func swiftClock() throws {
    try runLoop { loop, kernel in
      let taken = try await loop.clock.measure { try await loop.clock.sleep(for: .milliseconds(3)) }
      #expect(taken >= .milliseconds(3))
      #expect(EventLoop.running === loop)
    }
  }
}
