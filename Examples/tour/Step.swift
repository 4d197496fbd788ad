// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// One thing that the library does, shown on a loop that runs.
///
/// The function does it, throws when it does not get what it expects, and answers what happened in a few words.
struct Step: Sendable {
  let name: String
  let body: @Sendable (EventLoop) async throws -> String

  init(_ name: String, _ body: @escaping @Sendable (EventLoop) async throws -> String) {
    self.name = name
    self.body = body
  }

  /// How long a step may take before it counts as stuck.
  static let limit = Duration.seconds(10)

  /// Does it, and cancels it when it is stuck.
  func run(on loop: EventLoop) async throws -> (outcome: String, duration: Duration) {
    let start = loop.time
    let task = loop.createTask(name: name) { try await body(loop) }
    var isStuck = false
    let watchdog = loop.callLater(Step.limit) {
      isStuck = true
      task.cancel()
    }
    defer { watchdog.cancel() }
    do {
      let outcome = try await task.value
      return (outcome, start.duration(to: loop.time))
    } catch is CancellationError where isStuck {
      throw Failure("it was not done after \(Step.limit)")
    }
  }
}

/// Some steps under one heading.
struct Chapter: Sendable {
  let title: String
  let steps: [Step]
}

/// A step did not get what it expected.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Ends the step unless the condition holds.
func expect(_ condition: Bool, _ otherwise: @autoclosure () -> String) throws {
  if !condition { throw Failure(otherwise()) }
}

/// Ends the step unless both are equal.
func expect<Value: Equatable>(_ what: String, _ value: Value, is expected: Value) throws {
  if value != expected { throw Failure("\(what): expected \(expected), got \(value)") }
}
