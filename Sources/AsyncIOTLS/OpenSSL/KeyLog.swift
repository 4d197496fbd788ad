// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// A file of session keys that tools for looking into traffic read. Several loops may write to it.
final class KeyLog: Sendable {
  /// Ours from `init` to `deinit`. The kernel puts each write behind those of everybody else.
  private let file: FileDescriptor

  /// Whoever reads the file can read the connections: it is made for its owner alone, and a link in its place, which
  /// somebody else may have laid, is not followed.
  init(_ path: String) throws(TLSError) {
    do {
      file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.append, .create, .closeOnExec, .noFollow], permissions: .ownerReadWrite)
    } catch {
      throw TLSError(.configuration, "the file for session keys cannot be opened: \(error)", subject: path)
    }
  }

  deinit { try? file.close() }

  /// Appends a line. A full disk costs lines of the log, and no connection.
  func write(_ line: String) { _ = try? file.writeAll((line + "\n").utf8) }
}
