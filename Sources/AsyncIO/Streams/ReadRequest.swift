// SPDX-License-Identifier: Apache-2.0

/// What a read of a stream wants.
@usableFromInline
enum ReadRequest {
  /// What is there, at most so many bytes.
  case some(Int)
  /// Everything up to the end.
  case all
  case exactly(Int)
  /// Everything up to and with the reader's separator.
  case upToSeparator
  case line
  /// So many bytes or more, which stay where they are.
  case atLeast(Int)
}
