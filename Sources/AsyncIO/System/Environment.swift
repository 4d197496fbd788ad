// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// What the process finds around it.
package enum Environment {
  /// How many processors the process may use.
  package static var processorCount: Int { Int(casyncio_processor_count()) }

  /// An environment variable's text; nil when there is none.
  package static func value(_ name: String) -> String? {
    // The text is copied before anybody could change it.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// An environment variable as the system has it; nil when there is none.
  static func bytes(_ name: String) -> [UInt8]? {
    // The bytes are copied before anybody could change them.
    unsafe getenv(name).map { value in
      unsafe Array(UnsafeRawBufferPointer(start: value, count: strlen(value)))
    }
  }

  /// All environment variables as the system has them, `NAME=value` each.
  static var entries: [[UInt8]] {
    var entries: [[UInt8]] = []
    var next = unsafe casyncio_environment()
    while let entry = unsafe next?.pointee {
      // Copied before anybody could change it; the list ends with a null pointer.
      unsafe entries.append(Array(UnsafeRawBufferPointer(start: entry, count: strlen(entry))))
      unsafe next = next?.successor()
    }
    return entries
  }

  /// Whether the environment variable exists and is not empty.
  static func isSet(_ name: String) -> Bool {
    guard let value = unsafe getenv(name) else { return false }
    return unsafe value.pointee != 0
  }
}
