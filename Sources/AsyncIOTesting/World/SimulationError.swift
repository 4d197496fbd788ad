// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a program that ran in a simulated world.
public struct SimulationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The code's name.
    public let description: String

    /// Nothing can happen any more: no callback is ready, no timer is set, nothing is under way, and the program has not ended.
    public static let deadlock = Code(description: "deadlock")
    /// The clock stands still, and callbacks go on and on.
    public static let livelock = Code(description: "livelock")
    /// The program has ended, and has left something behind: a task, a timer, a descriptor.
    public static let leftovers = Code(description: "leftovers")
    /// The host that runs the program has crashed, or a signal has ended the host's process.
    public static let crashed = Code(description: "crashed")
    /// The world itself cannot go on.
    public static let failure = Code(description: "failure")
  }

  /// What kind of error it is.
  public let code: Code
  /// What is wrong, in sentences: which tasks wait for what, or what was left behind.
  public let description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
