// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Glibc

/// What the process finds around it.
package enum Environment {
  /// How many processors the process may use.
  package static var processorCount: Int { Int(casyncio_processor_count()) }

  /// An environment variable's text; nil when there is none.
  static func value(_ name: String) -> String? {
    // The text is copied before anybody could change it.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// Whether the environment variable exists and is not empty.
  static func isSet(_ name: String) -> Bool {
    guard let value = unsafe getenv(name) else { return false }
    return unsafe value.pointee != 0
  }
}
