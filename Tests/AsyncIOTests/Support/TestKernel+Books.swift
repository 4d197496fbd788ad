// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

@testable import AsyncIO

/// Descriptors in the books, and what every one of the library's making has to be.
extension TestKernel {
  /// Takes a descriptor that was made elsewhere into the books.
  func adopt(_ descriptor: FileDescriptor) -> Socket {
    opened(descriptor.rawValue)
    return Socket(adopting: descriptor, kernel: self)
  }

  /// Takes a descriptor that was made elsewhere into the books, and leaves it at that.
  func enrol(_ descriptor: FileDescriptor) { opened(descriptor.rawValue) }

  /// Enters what the library has made: it is close-on-exec from birth, and does not block unless it is for a child.
  func made(_ descriptor: FileDescriptor, by call: Call, blocks: Bool = false) {
    opened(descriptor.rawValue)
    look(at: descriptor, madeBy: call, blocks: blocks)
  }

  /// Looks at a poller's own descriptors, which it closes by itself. It is never read from.
  func look(at poller: any Poller) {
    for (number, descriptor) in ((poller as? EpollPoller)?.descriptors ?? []).enumerated() {
      look(at: descriptor, madeBy: .makePoller, blocks: number == 0)
    }
  }

  private func look(at descriptor: FileDescriptor, madeBy call: Call, blocks: Bool) {
    var faults: [String] = []
    if fcntl(descriptor.rawValue, F_GETFD) & FD_CLOEXEC == 0 {
      faults.append("\(call) made a descriptor that other programs inherit")
    }
    if !blocks, fcntl(descriptor.rawValue, F_GETFL) & O_NONBLOCK == 0 {
      faults.append("\(call) made a descriptor that blocks")
    }
    if !faults.isEmpty { note(faults: faults) }
  }
}
