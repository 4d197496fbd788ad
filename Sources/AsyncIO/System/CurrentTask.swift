// SPDX-License-Identifier: Apache-2.0

/// The task that the caller is in, whoever made it.
enum CurrentTask {
  /// Whether there is one.
  static var exists: Bool { unsafe withUnsafeCurrentTask { unsafe $0 != nil } }
}
