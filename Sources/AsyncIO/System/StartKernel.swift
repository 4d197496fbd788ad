// SPDX-License-Identifier: Apache-2.0
import Synchronization
package import SystemPackage

/// What whoever started the process has given it: an environment, and descriptors. A part of ``Kernel``.
package protocol StartKernel {
  var processID: Int32 { get }
  /// A variable of the process's environment; nil for none.
  func environmentVariable(_ name: String) -> [UInt8]?
  /// The number of the first descriptor that was passed beyond the standard streams.
  var firstPassedDescriptor: Int32 { get }
  /// Whether nobody has taken this so far; from now on somebody has.
  func claim(_ legacy: Legacy) -> Bool
  /// Keeps a descriptor from programs that others start.
  func setCloseOnExec(_ descriptor: FileDescriptor) throws(Errno)
}

/// What the process was given once, for the first of its loops that takes it.
package enum Legacy: Hashable, Sendable {
  /// The sockets that it was started with.
  case sockets
  /// The channel to the process that started it as its successor.
  case predecessor
}

/// Which of these were taken so far.
package final class TakenLegacies: Sendable {
  private let taken = Mutex<Set<Legacy>>([])

  package init() {}

  /// Whether nobody has taken it so far; from now on somebody has.
  package func claim(_ legacy: Legacy) -> Bool { taken.withLock { $0.insert(legacy).inserted } }
}
