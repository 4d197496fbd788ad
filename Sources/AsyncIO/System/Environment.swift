// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The process's environment variables.
enum Environment {
  /// Whether the variable exists and is not empty.
  static func isSet(_ name: String) -> Bool {
    guard let value = unsafe getenv(name) else { return false }
    return unsafe value.pointee != 0
  }
}
