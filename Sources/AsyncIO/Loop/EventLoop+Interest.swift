// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Makes the watcher the owner of a descriptor. Nothing is polled for until it shows interest.
  @discardableResult
  func claim(_ descriptor: FileDescriptor, for watcher: ReadinessWatcher) -> DescriptorClaim {
    let former = readiness.watcher(of: descriptor)
    if let former { keepWhileDelivering(former) }
    let claim = readiness.claim(descriptor, for: watcher)
    former?.descriptorWasTaken()
    return claim
  }

  /// Changes what the owner of a descriptor wants to know, if it is the owner still.
  func setInterest(_ interest: Interest, for descriptor: FileDescriptor, _ claim: DescriptorClaim) throws(Errno) {
    if readiness.isValid(claim, to: descriptor) { try setInterest(interest, for: descriptor) }
  }

  /// Ends the ownership, if it has not ended; see ``release(_:)``.
  func release(_ descriptor: FileDescriptor, _ claim: DescriptorClaim) {
    if readiness.isValid(claim, to: descriptor) { release(descriptor) }
  }

  /// Changes what the owner of a descriptor wants to know.
  func setInterest(_ interest: Interest, for descriptor: FileDescriptor) throws(Errno) {
    try apply(readiness.setInterest(interest, for: descriptor), descriptor)
  }

  /// Ends the ownership. It has to come before the descriptor is closed: a duplicate of it, in a child process for
  /// instance, would keep the registration alive.
  func release(_ descriptor: FileDescriptor) {
    if let watcher = readiness.watcher(of: descriptor) { keepWhileDelivering(watcher) }
    try? apply(readiness.release(descriptor), descriptor)
  }

  private func keepWhileDelivering(_ watcher: ReadinessWatcher) {
    if isDelivering { releasedWatchers.value.append(watcher) }
  }

  /// Lets go of those that were kept for a delivery alone. Their end may be the program's code.
  func dropReleasedWatchers() {
    let ending = releasedWatchers.value
    releasedWatchers.value = []
    withExtendedLifetime(ending) {}
  }

  private func apply(_ change: ReadinessTable.Change, _ descriptor: FileDescriptor) throws(Errno) {
    do throws(Errno) {
      switch change {
      case .none: return
      case .add(let interest, let generation):
        try add(descriptor, interest, generation: generation)
      case .modify(let interest, let generation):
        do throws(Errno) {
          try poller.modify(descriptor, interest, generation: generation)
        } catch .noSuchFileOrDirectory {
          // The descriptor was closed and its number used again behind our back.
          try poller.add(descriptor, interest, generation: generation)
        }
      case .remove:
        try poller.remove(descriptor)
      }
    } catch {
      // What the poller does not know must not stand in the table.
      if change != .remove { _ = readiness.setInterest([], for: descriptor) }
      throw error
    }
  }

  private func add(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
    do throws(Errno) {
      try poller.add(descriptor, interest, generation: generation)
    } catch .fileExists {
      // A former owner's registration lives on in a duplicate, under the same number.
      try poller.modify(descriptor, interest, generation: generation)
    }
  }

  /// An event for nobody: its owner is gone, or lost interest since the poll. In the first case the registration may
  /// have been kept alive by a duplicate; it is taken out so that it does not wake the loop for ever.
  func dropEvent(_ event: PollEvent) {
    let descriptor = FileDescriptor(rawValue: event.descriptor)
    if readiness.watcher(of: descriptor) == nil { try? poller.remove(descriptor) }
  }
}
