// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Synchronization
import Testing

@testable import AsyncIO

/// Looks at tests that run from a thread of its own, by the real clock: no loop can move that, or hold it up.
///
/// A test that takes too long is failed by way of its loop, which is stopped. A test whose loop does not even do that
/// would hang for ever, without a name: then the process ends, and says which test it was, and all that is known of it.
enum Watchdog {
  struct Limits: Sendable {
    /// After this much time the test fails.
    var failure = Duration.seconds(60)
    /// After this much the process ends.
    var end = Duration.seconds(120)
  }

  /// The exit code of a process that was ended.
  static let exitCode: Int32 = 86

  /// A test that is watched, until ``end()``.
  struct Watch {
    fileprivate let number: Int

    func end() { Watchdog.state.withLock { $0.tests[number] = nil } }
  }

  static func watch(
    _ loop: EventLoop, _ kernel: TestKernel, _ limits: Limits, _ sourceLocation: SourceLocation
  ) -> Watch {
    let name = Test.current.map { "\($0.id)" } ?? "a test without a name"
    let remote = loop.remote
    let place = "\(sourceLocation.fileName):\(sourceLocation.line)"
    let start = ContinuousClock.now
    let watched = Watched(
      start: start, limits: limits,
      fail: {
        _ = try? remote.callSoonThreadsafe { loop in
          Issue.record("\(name) ran for \(limits.failure)", sourceLocation: sourceLocation)
          loop.stop()
        }
      },
      describe: { "\(name) hangs: its loop, made at \(place), has not ended in \(limits.end).\n\(kernel.summary)" })
    _ = isRunning
    return Watchdog.state.withLock { state in
      state.next += 1
      state.tests[state.next] = watched
      return Watch(number: state.next)
    }
  }

  // MARK: The thread

  fileprivate struct Watched: Sendable {
    let start: ContinuousClock.Instant
    let limits: Limits
    let fail: @Sendable () -> Void
    let describe: @Sendable () -> String
    var wasFailed = false
  }

  fileprivate struct State {
    var tests: [Int: Watched] = [:]
    var next = 0
  }

  fileprivate static let state = Mutex(State())

  private static let isRunning: Bool = {
    Thread { while true { look(); usleep(20_000) } }.start()
    return true
  }()

  private static func look() {
    let now = ContinuousClock.now
    let (late, hanging) = state.withLock { state in
      var late: [Watched] = []
      for (number, test) in state.tests where !test.wasFailed && test.start + test.limits.failure < now {
        state.tests[number]?.wasFailed = true
        late.append(test)
      }
      return (late, state.tests.values.filter { $0.start + $0.limits.end < now })
    }
    for test in late { test.fail() }
    guard !hanging.isEmpty else { return }
    var text = ""
    for test in hanging { text += "\nWatchdog: \(test.describe())\n" }
    let bytes = Array(text.utf8)
    _ = Glibc.write(2, bytes, bytes.count)
    // Not exit: whoever hangs may hold what that waits for.
    _exit(exitCode)
  }
}

extension TestKernel {
  /// What the books say, for the report of a test that hangs.
  fileprivate var summary: String {
    let timeouts = pollTimeouts
    let last = timeouts.suffix(5).map { $0.map { "\($0) ns" } ?? "for ever" }.joined(separator: ", ")
    return """
      Polls: \(timeouts.count), the last for: \(last).
      Open descriptors: \(openDescriptors.sorted()). Children: \(children.current.sorted()).
      """
  }
}
