// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// What a program does with one descriptor of its own: a callback or a waiting task for each direction.
final class DescriptorWatcher: ReadinessWatcher {
  private enum Listener {
    case callback(ScheduledCall)
    case waiter(Waiter)
  }

  private unowned let loop: EventLoop
  private let descriptor: FileDescriptor
  /// Void as soon as the descriptor was closed behind our back, and its number is someone else's.
  private var claim: DescriptorClaim?
  private var reader: Listener?
  private var writer: Listener?

  /// Becomes the descriptor's watcher.
  init(_ loop: EventLoop, _ descriptor: FileDescriptor) {
    self.loop = loop
    self.descriptor = descriptor
    super.init()
    claim = loop.claim(descriptor, for: self)
  }

  override var ownsDescriptor: Bool { false }

  override func descriptorIsReady(_ ready: Interest) {
    let failure = ready.contains(.hangUp) ? queuedError() : nil
    for direction in [Interest.read, .write] where ready.contains(direction) {
      switch listener(direction) {
      case nil:
        break
      case .callback(let call) where call.wasCancelled:
        _ = remove(direction)
      case .callback(let call):
        if !call.isQueued {
          call.isQueued = true
          loop.core.ready.appendDue(.callback(call))
        }
      case .waiter(let waiter):
        try? set(nil, direction)
        waiter.resume(failure.map { .failure($0) } ?? .success(()))
      }
    }
  }

  /// An error that the kernel has queued for the socket: a task's call would not hear of it, and the poller would go on
  /// about it for ever. Where there is a callback, it is the program that reads the queue.
  private func queuedError() -> IOError? {
    for case .callback in [reader, writer] { return nil }
    let error = loop.kernel.takeQueuedErrors(descriptor).first
    return error.map { IOError($0.code, "send", $0.destination?.description ?? "descriptor \(descriptor.rawValue)") }
  }

  /// Sets a callback. The one before is cancelled, also if it is queued already.
  func setCallback(_ call: ScheduledCall, _ direction: Interest) throws(Errno) {
    try set(.callback(call), direction)
  }

  /// Has the task woken once the descriptor is ready. One task can wait in each direction.
  func setWaiter(_ waiter: Waiter, _ direction: Interest) throws {
    guard listener(direction) == nil else {
      throw EventLoopError(
        .descriptorInUse, "descriptor \(descriptor.rawValue) is watched already in the same direction")
    }
    try set(.waiter(waiter), direction)
    // A later call on the same socket must keep what is its own.
    waiter.onCancel = { [self] in
      if case .waiter(let current) = listener(direction), current === waiter { try? set(nil, direction) }
    }
  }

  /// Takes away a callback.
  ///
  /// - Returns: whether there was one.
  func remove(_ direction: Interest) -> Bool {
    guard case .callback = listener(direction) else { return false }
    try? set(nil, direction)
    return true
  }

  private func listener(_ direction: Interest) -> Listener? { direction == .read ? reader : writer }

  private func set(_ new: Listener?, _ direction: Interest) throws(Errno) {
    let old = listener(direction)
    if direction == .read { reader = new } else { writer = new }
    defer { drop(old, replaced: new != nil) }
    guard let claim else { return }
    var wanted: Interest = []
    if reader != nil { wanted.insert(.read) }
    if writer != nil { wanted.insert(.write) }
    if wanted.isEmpty {
      loop.release(descriptor, claim)
    } else {
      wanted.insert(.hangUp)
      try loop.setInterest(wanted, for: descriptor, claim)
    }
  }

  private func drop(_ old: Listener?, replaced: Bool) {
    switch old {
    case nil: break
    case .callback(let call): call.cancel()
    case .waiter(let waiter):
      // Nobody else would ever wake it.
      guard replaced else { return }
      waiter.resume(
        .failure(EventLoopError(.descriptorInUse, "a callback took the place of the task that waited for a descriptor"))
      )
    }
  }

  override func descriptorWasTaken() {
    for listener in [reader, writer] {
      switch listener {
      case nil: break
      case .callback(let call): call.cancel()
      case .waiter(let waiter):
        // Nobody else would ever wake it.
        waiter.end(IOError(.canceled, "wait", "descriptor \(descriptor.rawValue) (it has a new owner)"))
      }
    }
  }

  override func loopWasClosed() {
    for case .callback(let call) in [reader, writer] { call.cancel() }
  }
}
