// SPDX-License-Identifier: Apache-2.0

/// How far a child process and its pipes are. Pure: it decides, the transport performs.
struct SubprocessState {
  /// The pipes whose end has not come, by the child's number.
  private(set) var openPipes: Set<Int32>
  private(set) var hasExited = false
  /// Whether the program closed the transport, or it has ended.
  private(set) var isClosing = false
  private(set) var hasEnded = false

  init(pipes: Set<Int32>) { openPipes = pipes }

  /// Whether this was the first time.
  mutating func close() -> Bool {
    defer { isClosing = true }
    return !isClosing
  }

  /// The process has ended.
  ///
  /// - Returns: whether everything has: then `connectionLost` is due.
  mutating func exited() -> Bool {
    hasExited = true
    return endIfDone()
  }

  /// A pipe has ended.
  ///
  /// - Returns: whether everything has: then `connectionLost` is due.
  mutating func pipeEnded(_ number: Int32) -> Bool {
    openPipes.remove(number)
    return endIfDone()
  }

  private mutating func endIfDone() -> Bool {
    guard hasExited, openPipes.isEmpty, !hasEnded else { return false }
    hasEnded = true
    isClosing = true
    return true
  }
}
