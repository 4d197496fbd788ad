// SPDX-License-Identifier: Apache-2.0

/// The stream ended before what was asked for was complete. asyncio's `IncompleteReadError`.
public struct IncompleteReadError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What had arrived.
  public let partial: [UInt8]
  /// How many bytes were asked for; nil where a separator was.
  public let expected: Int?

  /// Names both counts.
  public var description: String {
    "the stream ended after \(partial.count) bytes of \(expected.map { "\($0) expected" } ?? "an unknown number")"
  }
}

/// The connection was closed because its writer was dropped, and so there is no more to read. Keep the writer as long as the
/// reader is in use, and ``StreamWriter/close()`` it.
public struct DroppedWriterError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where the connection was opened; nil for a server's.
  public let callSite: CallSite?

  /// Says what happened, and where the writer was made.
  public var description: String {
    "the connection was closed because its writer\(callSite.map { ", made at \($0)," } ?? "") was dropped"
  }
}

/// A separator did not come within the reader's limit. The bytes are still there. asyncio's `LimitOverrunError`.
public struct LimitOverrunError: Error, Hashable, Sendable, CustomStringConvertible {
  /// How many bytes come before the separator, or hold none of it: so many must be read to get on.
  public let consumed: Int
  /// Whether the separator is there, beyond the limit.
  public let isSeparatorFound: Bool

  /// Says which of the two it was.
  public var description: String {
    isSeparatorFound
      ? "the separator was found after \(consumed) bytes, which is beyond the limit"
      : "no separator was found in \(consumed) bytes, which is beyond the limit"
  }
}

/// A line is longer than the reader's limit. It was dropped, as far as it had arrived. asyncio's `ValueError` of
/// `readline`.
public struct LineTooLongError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reader's limit, in bytes.
  public let limit: Int

  /// Names the limit.
  public var description: String { "a line is longer than the limit of \(limit) bytes" }
}
