// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage

/// A fresh folder with a short path, as unix sockets need it; gone with the object.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = "/tmp/asyncio-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func path(of name: String) -> String { path + "/" + name }

  func exists(_ name: String) -> Bool { (try? FileManager.default.attributesOfItem(atPath: path(of: name))) != nil }

  /// Makes a FIFO.
  func fifo(_ name: String) throws -> String {
    guard mkfifo(path(of: name), 0o600) == 0 else { throw Errno(rawValue: errno) }
    return path(of: name)
  }

  /// Makes a file, open for reading and writing, with its position at the start. The caller closes it.
  func file(_ bytes: [UInt8], name: String = UUID().uuidString) throws -> FileDescriptor {
    let file = try FileDescriptor.open(
      FilePath(path(of: name)), .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
      permissions: .ownerReadWrite)
    try file.writeAll(bytes)
    try file.seek(offset: 0, from: .start)
    return file
  }
}
