// SPDX-License-Identifier: Apache-2.0
import Glibc
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

/// Makes a loop on a kernel of its own, lends both, closes the loop, and fails the test when a descriptor is left.
func withLoop<R>(
  sourceLocation: SourceLocation = #_sourceLocation, limits: Watchdog.Limits = Watchdog.Limits(),
  _ body: (EventLoop, TestKernel) throws -> R
) throws -> R {
  CapturedLog.install()
  let kernel = TestKernel()
  let loop = try EventLoop(kernel: kernel)
  let watch = Watchdog.watch(loop, kernel, limits, sourceLocation)
  defer {
    loop.close()
    watch.end()
    #expect(kernel.openDescriptors == [], "descriptors were left open", sourceLocation: sourceLocation)
    #expect(kernel.misbegotten == [], sourceLocation: sourceLocation)
  }
  return try body(loop, kernel)
}

/// Runs an async test on a loop as ``EventLoop/run(_:_:)`` would, and fails it when a descriptor is left.
func runLoop<R>(
  sourceLocation: SourceLocation = #_sourceLocation, limits: Watchdog.Limits = Watchdog.Limits(),
  _ body: @escaping (EventLoop, TestKernel) async throws -> R
) throws -> R {
  CapturedLog.install()
  let kernel = TestKernel()
  let loop = try EventLoop(kernel: kernel)
  let watch = Watchdog.watch(loop, kernel, limits, sourceLocation)
  defer {
    watch.end()
    #expect(kernel.openDescriptors == [], "descriptors were left open", sourceLocation: sourceLocation)
    #expect(kernel.misbegotten == [], sourceLocation: sourceLocation)
  }
  return try loop.runMain { try await body($0, kernel) }
}

extension EventLoop {
  /// Lets the loop turn until the condition holds; fails the test when that takes more than 20 seconds of real time.
  ///
  /// What is late by less than that passes. To test when something happens, use ``expect(after:on:_:sourceLocation:_:)``.
  func until(
    _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try !condition() {
      guard ContinuousClock.now < deadline else {
        Issue.record(comment ?? "a condition did not come true", sourceLocation: sourceLocation)
        throw ConditionTimedOut()
      }
      if let kernel = kernel as? TestKernel, kernel.isClockStopped {
        try await turn()
        sched_yield()
      } else {
        try await sleep(for: .milliseconds(1))
      }
    }
  }

  /// Checks that something happens once a limit has passed on the loop's clock, and not a moment earlier. The clock is to
  /// be stopped before the limit begins, see ``TestKernel/stopClock()``: so no machine is too slow or too fast for it.
  func expect(
    after limit: Duration, on kernel: TestKernel, _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool
  ) async throws {
    #expect(kernel.isClockStopped, sourceLocation: sourceLocation)
    let moment = Duration.nanoseconds(1)
    kernel.advanceClock(by: limit - moment)
    try await turn(10)
    let isEarly = try condition()
    #expect(!isEarly, comment ?? "it comes too early", sourceLocation: sourceLocation)
    kernel.advanceClock(by: moment)
    try await until(comment, sourceLocation: sourceLocation, condition)
  }

  /// Sets a handler that collects what is reported.
  func collectErrors() -> ErrorCollector {
    let collector = ErrorCollector()
    setExceptionHandler { _, context in collector.contexts.append(context) }
    return collector
  }
}

struct ConditionTimedOut: Error {}

/// An error to throw and recognise.
struct TestError: Error, Equatable {
  var number = 0
}

final class ErrorCollector {
  var contexts: [ExceptionContext] = []
  var messages: [String] { contexts.map(\.message) }
}

/// What the library logged, by all tests of the process: look for a text that only your test causes.
enum CapturedLog {
  private static let lines = Mutex<[String]>([])
  private static let isInstalled: Bool = {
    LoggingSystem.bootstrap { _ in Handler() }
    return true
  }()

  static func install() { _ = isInstalled }

  static func matching(_ text: String) -> [String] { lines.withLock { $0.filter { $0.contains(text) } } }

  private struct Handler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      CapturedLog.lines.withLock { $0.append("\(event.level): \(event.message)") }
    }
  }
}

extension EventLoopError {
  /// Whatever the sentence: errors are equal by their codes.
  static let inUse = EventLoopError(.descriptorInUse, "")
  static let badArgument = EventLoopError(.invalidArgument, "")
  static let badTransport = EventLoopError(.transportState, "")
}
