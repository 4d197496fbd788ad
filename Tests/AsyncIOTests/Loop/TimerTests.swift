// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import AsyncIO

@Suite struct TimerTests {
  /// A loop whose clock makes leaps.
  private func withClockToAdvance(_ body: (EventLoop, TestKernel) throws -> Void) throws {
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    defer { loop.close() }
    try body(loop, kernel)
  }

  @Test("a timer's handle tells when it is due")
  func when() throws {
    try withLoop { loop, kernel in
      let before = loop.time
      let later = loop.callLater(.seconds(5)) {}
      #expect(later.when >= before.advanced(by: .seconds(5)))
      #expect(later.when <= loop.time.advanced(by: .seconds(5)))
      let at = before.advanced(by: .seconds(9))
      #expect(loop.callAt(at) {}.when == at)
    }
  }

  @Test(
    "a timer fires once, and not a nanosecond early", arguments: [1, 999, 50_001, 3_000_001, 20_000_000],
    [false, true])
  func notEarly(_ nanoseconds: Int64, busy: Bool) throws {
    try withLoop { loop, kernel in
      let delay = Duration.nanoseconds(nanoseconds)
      var fired: [EventLoop.Clock.Instant] = []
      let start = loop.time
      loop.callLater(delay) { fired.append(loop.time) }
      let at = loop.callAt(start.advanced(by: delay)) { fired.append(loop.time) }
      var isOver = false
      loop.callLater(delay + .milliseconds(2)) {
        isOver = true
        loop.stop()
      }
      // A loop that turns all the time looks at its timers all the time, and must leave them where they are.
      func turn() { if !isOver { loop.callSoon { turn() } } }
      if busy { turn() }
      try loop.runForever()
      #expect(fired.count == 2)
      #expect(fired.allSatisfy { $0 >= at.when })
      loop.stop()
      try loop.runForever()
      #expect(fired.count == 2)
    }
  }

  @Test("a due time that the clock reaches by a jump is met at once, and none before it")
  func virtualTime() throws {
    try withClockToAdvance { loop, kernel in
      var fired: [Int] = []
      loop.callLater(.seconds(100)) { fired.append(100) }
      loop.callLater(.seconds(300)) { fired.append(300) }
      func turn() throws { loop.stop(); try loop.runForever() }
      kernel.advanceClock(by: .milliseconds(99_000))
      try turn()
      #expect(fired == [])
      kernel.advanceClock(by: .seconds(1))
      try turn()
      #expect(fired == [100])
      kernel.advanceClock(by: .seconds(250))
      try turn()
      #expect(fired == [100, 300])
    }
  }

  @Test("overdue timers run in the order of their due times")
  func overdue() throws {
    try withLoop { loop, kernel in
      var order: [Int] = []
      for delay in [-1, -2, 0, -30] { loop.callLater(.seconds(delay)) { order.append(delay) } }
      loop.stop()
      try loop.runForever()
      #expect(order == [-30, -2, -1, 0])
    }
  }

  @Test("equal due times run in the order of scheduling")
  func equal() throws {
    try withLoop { loop, kernel in
      let due = loop.time.advanced(by: .seconds(1))
      var order: [Int] = []
      for number in 0..<200 { loop.callAt(due) { order.append(number) } }
      kernel.advanceClock(by: .seconds(1))
      loop.stop()
      try loop.runForever()
      #expect(order == Array(0..<200))
    }
  }

  @Test("a past-due timer runs in the next iteration; what it schedules waits one more")
  func pastDue() throws {
    try withLoop { loop, kernel in
      var order: [String] = []
      loop.callSoon {
        loop.callLater(.seconds(-1)) {
          order.append("timer")
          loop.callLater(.seconds(-1)) {
            order.append("inner timer"); loop.stop()
          }
          loop.callSoon { order.append("inner callback") }
        }
        loop.callSoon { order.append("callback") }
      }
      try loop.runForever()
      #expect(order == ["callback", "timer", "inner callback", "inner timer"])
    }
  }

  /// The timeouts of the polls of one run, which needs a watched descriptor: else nothing is polled at all.
  private func timeouts(_ body: (EventLoop, TestKernel) throws -> Void) throws -> [Int64?] {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try loop.addReader(near.descriptor) {}
      try body(loop, kernel)
      try loop.runForever()
      try loop.removeReader(near.descriptor)
      withExtendedLifetime(far) {}
      return kernel.pollTimeouts
    }
  }

  @Test("the poll does not block while something is ready")
  func pollTimeoutZero() throws {
    #expect(try timeouts { loop, _ in loop.callSoon { loop.stop() } } == [0])
    #expect(try timeouts { loop, _ in loop.callLater(.seconds(-5)) { loop.stop() } } == [0])
    #expect(try timeouts { loop, _ in loop.stop() } == [0])
  }

  @Test("else it takes until the earliest timer that is not cancelled")
  func pollTimeoutUntilTimer() throws {
    let polls = try timeouts { loop, _ in
      loop.callLater(.milliseconds(1)) {}.cancel()
      loop.callLater(.milliseconds(2)) {}.cancel()
      loop.callLater(.milliseconds(30)) { loop.stop() }
    }
    #expect(polls.count == 1)
    let wait = try #require(polls.first ?? nil)
    #expect(wait > 3_000_000 && wait <= 30_000_000)
  }

  @Test("without timers it takes for ever")
  func pollTimeoutUnbounded() throws {
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    defer { loop.close() }
    let remote = loop.remote
    let waker = TestThread {
      while kernel.count(of: .wait) == 0 { sched_yield() }
      try? remote.stop()
    }
    try loop.runForever()
    waker.join()
    #expect(kernel.pollTimeouts == [nil])
  }

  @Test("very short sleeps cost about two iterations each, and spin in none")
  func shortSleeps() throws {
    try runLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try loop.addReader(near.descriptor) {}
      for exponent in -10 ... -2 {
        let before = kernel.count(of: .wait)
        let duration = Duration.seconds(1) * pow10(exponent)
        let start = loop.time
        try await loop.sleep(for: duration)
        #expect(start.duration(to: loop.time) >= duration)
        #expect(kernel.count(of: .wait) - before <= 3)
      }
      try loop.removeReader(near.descriptor)
      withExtendedLifetime(far) {}
    }
  }

  private func pow10(_ exponent: Int) -> Double { (0..<abs(exponent)).reduce(1.0) { value, _ in value / 10 } }

  @Test("cancelled timers do not pile up")
  func cancelledTimersLeave() throws {
    try withLoop { loop, kernel in
      let before = loop.core.timers.count
      for _ in 0..<10_000 { loop.callLater(.seconds(1000)) {}.cancel() }
      let left = loop.core.timers.count
      #expect(left == before)
    }
  }

  @Test("delays of years, and of more than the clock can tell, neither overflow nor fire")
  func longDelays() throws {
    try withClockToAdvance { loop, kernel in
      let (near, far) = try Socket.pair()
      for delay in [Duration.seconds(86_400 * 366), .seconds(86_400 * 366 * 290), .seconds(Int64.max)] {
        loop.callLater(delay) { Issue.record("fired at once") }
      }
      let last = loop.callLater(.seconds(Int64.max)) {}
      #expect(last.when.nanoseconds == .max)
      loop.callLater(.seconds(Int64.min)) { try far.send([1]) }
      try loop.addReader(near.descriptor) { loop.stop() }
      try loop.runForever()
      try loop.removeReader(near.descriptor)
      // A year later the first one is due.
      var fired = false
      loop.callLater(.seconds(86_400 * 365)) { fired = true }
      kernel.advanceClock(by: .seconds(86_400 * 365))
      loop.stop()
      try loop.runForever()
      #expect(fired)
    }
  }

  @Test("a timer that another cancels when both are due does not run")
  func cancelDue() throws {
    try withLoop { loop, kernel in
      var second: TimerHandle?
      var ran = 0
      loop.callLater(.seconds(-2)) {
        ran += 1; second?.cancel()
      }
      second = loop.callLater(.seconds(-1)) { ran += 10 }
      loop.stop()
      try loop.runForever()
      #expect(ran == 1)
    }
  }
}
