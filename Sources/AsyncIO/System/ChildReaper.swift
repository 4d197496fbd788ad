// SPDX-License-Identifier: Apache-2.0

/// Threads that wait for children.
///
/// Nobody waits for these threads: a child that cannot die holds up neither a loop nor the end of the process.
enum ChildReaper {
  /// One for each child where there are no pidfds.
  private static let watchers = WorkerThreads(limit: .max, name: "child")
  /// For children that were killed, and take a moment to die.
  private static let buriers = WorkerThreads(limit: 32, name: "reaper")

  /// Calls back, on some thread, once the child has ended. It is left to be reaped.
  static func watch(_ child: Child, _ kernel: any Kernel, _ onEnd: @escaping @Sendable () -> Void) throws(IOError) {
    do throws(Errno) {
      try watchers.submit {
        // An error means that somebody else reaped it: that is an end as well.
        try? kernel.waitForEnd(of: child)
        onEnd()
      }
    } catch {
      throw IOError(error, "pthread_create")
    }
  }

  /// Lets a child run on that nobody waits for any more, and sees to it that it leaves no zombie. Its pidfd is closed.
  static func release(_ child: Child, _ kernel: any Kernel) {
    if let pidfd = child.pidfd { try? kernel.close(pidfd) }
    let child = Child(pid: child.pid, pidfd: nil)
    // Without a thread, the zombie stays as long as this process does.
    try? watch(child, kernel) { _ = try? kernel.reap(child) }
  }

  /// Kills a child that nobody wants any more, and sees to it that it leaves no zombie. Its pidfd is closed.
  static func bury(_ child: Child, _ kernel: any Kernel) {
    try? kernel.signal(child, .kill)
    if let pidfd = child.pidfd { try? kernel.close(pidfd) }
    // The pid is the child's for as long as nobody reaped it.
    let child = Child(pid: child.pid, pidfd: nil)
    do {
      if try kernel.reap(child) != nil { return }
      try buriers.submit {
        try? kernel.waitForEnd(of: child)
        _ = try? kernel.reap(child)
      }
    } catch {
      // Reaped already; or no thread can be made, and the zombie stays as long as this process does.
    }
  }
}
