// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import SystemPackage

extension Socket {
  /// Makes a call that does not wait. Where the program has set its socket to block, waits here and makes it again.
  ///
  /// The receives and sends of ``Kernel`` never wait, whatever the descriptor's mode, since a transport shares that mode with
  /// whoever else holds the open file. On a socket of the program's own, to wait is what it asked for.
  func blocking<Answer>(_ direction: Interest, _ call: () throws(Errno) -> Answer) throws(Errno) -> Answer {
    while true {
      do throws(Errno) {
        return try call()
      } catch {
        try waitIfBlocking(direction, after: error)
      }
    }
  }

  /// Blocks the thread until the call that failed can be made again, or throws its error.
  func waitIfBlocking(_ direction: Interest, after error: Errno) throws(Errno) {
    guard error == .wouldBlock, try !kernel.isNonBlocking(descriptor) else { throw error }
    var entry = pollfd(fd: descriptor.rawValue, events: Int16(direction == .read ? POLLIN : POLLOUT), revents: 0)
    _ = try systemCall { unsafe poll(&entry, 1, -1) }
  }
}
