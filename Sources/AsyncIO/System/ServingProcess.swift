// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
package import SystemPackage

/// What a process that was started to serve its parent, such as a pool's worker, needs of the system.
package enum ServingProcess {
  /// Keeps a descriptor that the process was started with from its own children.
  package static func setCloseOnExec(_ descriptor: FileDescriptor) throws(Errno) {
    try platformKernel.setCloseOnExec(descriptor)
  }

  /// Leaves SIGINT, which a terminal sends to parent and children alike, to the parent.
  package static func ignoreInterrupt() {
    casyncio_ignore_signal(SIGINT)
  }

  /// Blocks the thread until the other side of a stream socket has been closed, whatever there is to read.
  package static func waitForHangUp(_ descriptor: FileDescriptor) {
    while true {
      // A hang-up is reported without being asked for.
      var entry = pollfd(fd: descriptor.rawValue, events: 0, revents: 0)
      if unsafe poll(&entry, 1, -1) > 0 { return }
    }
  }

  /// Ends the process, with what is to be done at an exit.
  package static func exit(_ code: Int32) -> Never { CAsyncIO.exit(code) }

  /// Ends the process as it is: other threads are in the middle of something.
  package static func exitAtOnce(_ code: Int32) -> Never { _exit(code) }
}
