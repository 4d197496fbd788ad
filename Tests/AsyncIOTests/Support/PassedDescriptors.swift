// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

/// Descriptors in a row, as a service manager passes them, at numbers that no other test has.
struct PassedDescriptors {
  /// The number of the first.
  let first: Int32

  /// Far up: the kernel hands out the lowest number that is free, and the tests that run beside have hundreds.
  private static let next = Mutex(max(600, Int32(clamping: min(sysconf(Int32(_SC_OPEN_MAX)), 65536) - 800)))

  init() {
    first = PassedDescriptors.next.withLock { next in
      defer { next += 8 }
      return next
    }
  }

  /// Moves a descriptor to its place in the row. A careless manager's, it is not close-on-exec.
  func place(_ descriptor: FileDescriptor, at index: Int32, _ kernel: TestKernel) throws {
    // Never in the place of another test's.
    let placed = FileDescriptor(rawValue: fcntl(descriptor.rawValue, F_DUPFD, first + index))
    if placed.rawValue != first + index { try placed.close() }
    try #require(placed.rawValue == first + index)
    kernel.enrol(placed)
    try kernel.close(descriptor)
  }

  /// Has the kernel's process be told of them.
  func announce(_ kernel: TestKernel, _ variables: [String: String]) {
    kernel.firstPassed.withLock { $0 = first }
    kernel.environment.withLock {
      $0 = ["LISTEN_PID": "\(ownProcessID())"].merging(variables) { _, given in given }
    }
  }
}

/// A socket that listens on a port of the loopback.
func listeningSocket(_ kernel: TestKernel) throws -> Socket {
  let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
  try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
  try socket.listen(backlog: 16)
  return socket
}
