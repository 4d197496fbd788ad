// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What a measurement has cost so far, in nanoseconds.
public struct Spent: Sendable {
  /// By the wall clock, which includes what the program slept.
  public var wall: Double
  /// By the processor, all threads together.
  public var cpu: Double

  /// The clocks' present readings.
  public static var now: Spent {
    Spent(wall: nanoseconds(CLOCK_MONOTONIC), cpu: nanoseconds(CLOCK_PROCESS_CPUTIME_ID))
  }

  /// What has passed since, for one of so many operations.
  public func perOperation(_ count: Int) -> Spent {
    let now = Spent.now
    return Spent(wall: (now.wall - wall) / Double(count), cpu: (now.cpu - cpu) / Double(count))
  }

  private static func nanoseconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }
}

/// The figures of all rounds, by name, in the order in which they came first.
public struct Figures {
  private var names: [String] = []
  private var values: [String: [Double]] = [:]

  /// No figures.
  public init() {}

  /// Adds a round's figure.
  public mutating func add(_ name: String, _ value: Double) {
    if values[name] == nil { names.append(name) }
    values[name, default: []].append(value)
  }

  /// `name=median` of each, in one line.
  public var line: String {
    names.map { name in
      let sorted = (values[name] ?? []).sorted()
      let median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
      let tenths = Int((median * 10).rounded())
      return "\(name)=\(tenths / 10).\(tenths % 10)"
    }.joined(separator: " ")
  }
}

/// Counts what ran, in closures that must be sendable though they run on one thread.
public final class Counter: @unchecked Sendable {
  /// How many there were. Touched by the loop's thread alone while it runs.
  public var value = 0

  /// Counts from zero.
  public init() {}
}
