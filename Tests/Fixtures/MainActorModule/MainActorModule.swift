// SPDX-License-Identifier: Apache-2.0
import AsyncIO

// A module whose code belongs to MainActor by default, as many programs' does.

/// State without a word about isolation: MainActor's.
public final class Counter {
  public private(set) var count = 0
  public init() {}
  public func increment() { count += 1 }
}

/// Runs a program that uses loop and MainActor's state side by side.
///
/// - Returns: what the counter says in the end.
public func runCounter(_ configuration: EventLoop.Configuration) throws -> Int {
  let counter = Counter()
  return try EventLoop.run(configuration) { loop in
    counter.increment()
    loop.callSoon { counter.increment() }
    try await loop.createTask { counter.increment() }.value
    await Task { counter.increment() }.value
    try await Task.sleep(for: .milliseconds(1))
    counter.increment()
    return counter.count
  }
}
