// SPDX-License-Identifier: Apache-2.0

/// A successor that never was ready: it ended before.
public struct SuccessorError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The successor's process id.
  public let processID: Int32
  /// Its exit status, or minus the signal that ended it.
  public let returnCode: Int32

  /// Names the process, and how it ended.
  public var description: String {
    let end = returnCode < 0 ? "by \(Signal(rawValue: -returnCode))" : "with status \(returnCode)"
    return "the successor, process \(processID), ended \(end) before it was ready"
  }
}
