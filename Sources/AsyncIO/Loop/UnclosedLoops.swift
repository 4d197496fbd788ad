// SPDX-License-Identifier: Apache-2.0
import Logging
import Synchronization

/// The loops in debug mode that have not been closed.
///
/// A loop lives as long as anything that it serves: a server, a connection or a suspended task holds it, and it holds them.
/// One that a program drops together with these keeps its descriptors and its claims for good, and nobody can
/// tell it from one that is still wanted. So the process's end is where it is reported.
enum UnclosedLoops {
  private struct Entry {
    var callSite: CallSite
    /// Whether it runs: then the process ends from inside it.
    var mailbox: Mailbox
  }

  private static let entries = Mutex<[ObjectIdentifier: Entry]>([:])

  static func insert(_ core: LoopCore, _ callSite: CallSite) {
    entries.withLock { $0[ObjectIdentifier(core)] = Entry(callSite: callSite, mailbox: core.mailbox) }
    _ = reportsAtExit
  }

  static func remove(_ core: LoopCore) {
    entries.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(core)) }
  }

  private static let reportsAtExit: Void = ProcessExit.addHandler {
    // Without waiting for the lock: at the process's exit its holder may be a thread that never goes on.
    let left = entries.withLockIfAvailable { Array($0.values) } ?? []
    for entry in left where !entry.mailbox.isRunning {
      EventLoop.log.warning("an event loop (made at \(entry.callSite)) was never closed, and kept what it served")
    }
  }
}
