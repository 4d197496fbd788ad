// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import COpenSSL
import Synchronization

/// A file of session keys that tools for looking into traffic read. Several loops may write to it.
@safe
final class KeyLog: @unchecked Sendable {
  /// Ours from `init` to `deinit`, and used by whoever holds the lock.
  private let file: OpaquePointer
  private let lock = Mutex(())

  init(_ path: String) throws(TLSError) {
    guard let file = unsafe BIO_new_file(path, "ae") else { throw OpenSSLErrors.configuration(path) }
    unsafe self.file = file
  }

  deinit { _ = unsafe BIO_free(file) }

  func write(_ line: String) {
    lock.withLock { _ in
      _ = unsafe BIO_puts(file, line + "\n")
      _ = unsafe copenssl_bio_flush(file)
    }
  }
}
