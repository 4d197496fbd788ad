// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import AsyncIO

/// What watches over the other tests. Each test is a process of its own, since some of them end it.
@Suite struct WatchdogTests {
  @Test("a loop that never turns ends the process, which says what hangs and what it has")
  func blockedLoop() async throws {
    let result = await #expect(
      processExitsWith: .exitCode(Watchdog.exitCode), observing: [\.standardErrorContent]
    ) {
      let limits = Watchdog.Limits(failure: .milliseconds(20), end: .milliseconds(50))
      try withLoop(limits: limits) { loop, _ in
        loop.callSoon { while true { pause() } }
        try loop.runForever()
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("hangs: its loop, made at WatchdogTests.swift:"))
    #expect(text.contains("Open descriptors: [-"))
  }

  @Test("a loop that is idle for too long fails its test, and is stopped") func idleLoop() throws {
    let limits = Watchdog.Limits(failure: .milliseconds(20))
    try withKnownIssue {
      try withLoop(limits: limits) { loop, _ in try loop.runForever() }
    } matching: {
      $0.description.contains("idleLoop") && $0.description.contains("ran for 0.02 seconds")
    }
  }

  @Test("the loop's own clock has nothing to do with it") func movedClock() throws {
    try withLoop(limits: Watchdog.Limits(failure: .seconds(60))) { loop, kernel in
      kernel.advanceClock(by: .seconds(1_000_000))
      loop.callSoon { loop.stop() }
      try loop.runForever()
    }
  }
}
