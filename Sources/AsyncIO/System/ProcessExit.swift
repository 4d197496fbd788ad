// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The end of the process that we run in.
enum ProcessExit {
  /// Has the function called when the process ends by `exit`, or by the end of its main program.
  static func addHandler(_ handler: @convention(c) () -> Void) { atexit(handler) }
}
