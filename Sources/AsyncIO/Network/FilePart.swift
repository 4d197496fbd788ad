// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What is to be sent of a file, and how far that has come.
struct FilePart: Sendable {
  let file: FileDescriptor
  let offset: Int64
  let count: Int?
  var sent = 0

  init(_ file: FileDescriptor, _ offset: Int64, _ count: Int?) throws(EventLoopError) {
    guard offset >= 0 else { throw EventLoopError(.invalidArgument, "sendFile: the offset must not be negative") }
    guard (count ?? 1) > 0 else { throw EventLoopError(.invalidArgument, "sendFile: the count must be above zero") }
    self.file = file
    self.offset = offset
    self.count = count
  }

  var position: Int64 { offset + Int64(sent) }
  /// Without a count, more than any file has.
  var left: Int { (count ?? .max) - sent }
}
