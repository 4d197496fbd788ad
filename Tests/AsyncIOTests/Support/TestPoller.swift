// SPDX-License-Identifier: Apache-2.0
import Synchronization
import SystemPackage

@testable import AsyncIO

/// The real poller, counted.
final class TestPoller: Poller {
  private let real: any Poller
  private let kernel: TestKernel
  /// Stands for the poller's own descriptors in the kernel's books.
  private let token: Int32

  private static let tokens = Atomic<Int32>(-2)

  init(_ real: any Poller, _ kernel: TestKernel) {
    self.real = real
    self.kernel = kernel
    token = TestPoller.tokens.subtract(1, ordering: .relaxed).newValue
    kernel.opened(token)
  }

  var waker: any Waker { real.waker }

  func add(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
    try kernel.enter(.add)
    try real.add(descriptor, interest, generation: generation)
  }

  func modify(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
    try kernel.enter(.modify)
    try real.modify(descriptor, interest, generation: generation)
  }

  func remove(_ descriptor: FileDescriptor) throws(Errno) {
    try kernel.enter(.remove)
    // Whoever closes a descriptor before the poller has let it go comes too late here.
    do throws(Errno) { try real.remove(descriptor) } catch {
      kernel.noteLateRemoval()
      throw error
    }
  }

  func wait(timeout: Int64?, into events: inout [PollEvent]) throws(Errno) {
    try kernel.enter(.wait)
    kernel.polled(timeout)
    try real.wait(timeout: timeout, into: &events)
  }

  func close() {
    real.close()
    kernel.closed(token)
  }
}
