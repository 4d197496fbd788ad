// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What the wire below an engine has to say after a call of the engine's.
struct WireReport: Equatable {
  enum End: Equatable {
    /// The peer has closed its side.
    case ofStream
    case failure(Errno)
  }

  /// How the stream has ended; nil while it goes on.
  var end: End?
  /// Whether the latest receive has found nothing.
  var isKernelEmpty = false
  /// How many bytes the kernel has brought since the last report.
  var received = 0
}
