// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

extension EventLoop {
  /// Makes the watcher the owner of a descriptor. Nothing is polled for until it shows interest.
  func claim(_ descriptor: FileDescriptor, for watcher: any ReadinessWatcher) {
    readiness.claim(descriptor, for: watcher)
  }

  /// Changes what the owner of a descriptor wants to know.
  func setInterest(_ interest: Interest, for descriptor: FileDescriptor) throws(Errno) {
    try tellPoller(readiness.setInterest(interest, for: descriptor), descriptor)
  }

  /// Ends the ownership. It has to come before the descriptor is closed: a duplicate of it, in a child process for
  /// instance, would keep the registration alive.
  func release(_ descriptor: FileDescriptor) {
    try? tellPoller(readiness.release(descriptor), descriptor)
  }

  private func tellPoller(_ change: ReadinessTable.Change, _ descriptor: FileDescriptor) throws(Errno) {
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

/// Callbacks of the program's own on one descriptor.
private final class DescriptorWatcher: ReadinessWatcher {
  private unowned let loop: EventLoop
  private let descriptor: FileDescriptor
  private var reader: Handle?
  private var writer: Handle?

  init(_ loop: EventLoop, _ descriptor: FileDescriptor) {
    self.loop = loop
    self.descriptor = descriptor
  }

  var ownsDescriptor: Bool { false }

  func descriptorIsReady(_ ready: Interest) {
    if ready.contains(.read) { queue(reader, .read) }
    if ready.contains(.write) { queue(writer, .write) }
  }

  private func queue(_ handle: Handle?, _ interest: Interest) {
    guard let handle else { return }
    if handle.isCancelled {
      _ = remove(interest)
    } else if !handle.isQueued {
      handle.isQueued = true
      loop.core.ready.appendDue(.callback(handle))
    }
  }

  /// Sets or takes away a callback. The one before is cancelled, also if it is queued already.
  func set(_ handle: Handle?, _ interest: Interest) throws(Errno) {
    if interest == .read {
      reader?.cancel()
      reader = handle
    } else {
      writer?.cancel()
      writer = handle
    }
    var wanted: Interest = []
    if reader != nil { wanted.insert(.read) }
    if writer != nil { wanted.insert(.write) }
    if wanted.isEmpty {
      loop.release(descriptor)
    } else {
      try loop.setInterest(wanted, for: descriptor)
    }
  }

  func remove(_ interest: Interest) -> Bool {
    guard (interest == .read ? reader : writer) != nil else { return false }
    try? set(nil, interest)
    return true
  }

  func loopWasClosed() {
    reader?.cancel()
    writer?.cancel()
  }
}

extension EventLoop {
  /// Calls back whenever the descriptor can be read from, until ``removeReader(_:)``. asyncio's `add_reader`.
  ///
  /// Level-triggered: the callback runs in each iteration that finds the descriptor readable, at its end, or in error.
  /// A second call replaces the callback. The descriptor stays the caller's: remove the reader before closing it.
  ///
  /// - Throws: ``IOError`` for a descriptor that is closed or can't be watched, such as a regular file's;
  ///   ``EventLoopError`` `.descriptorInUse` for one that belongs to a transport.
  @discardableResult
  public func addReader(
    _ descriptor: FileDescriptor, file: StaticString = #fileID, line: UInt = #line,
    _ callback: @escaping () throws -> Void
  ) throws -> Handle {
    try watch(descriptor, .read, "addReader", Handle(repeats: true, origin: origin(file, line), callback))
  }

  /// Calls back whenever the descriptor can be written to, until ``removeWriter(_:)``. asyncio's `add_writer`.
  ///
  /// - Throws: as ``addReader(_:file:line:_:)``.
  @discardableResult
  public func addWriter(
    _ descriptor: FileDescriptor, file: StaticString = #fileID, line: UInt = #line,
    _ callback: @escaping () throws -> Void
  ) throws -> Handle {
    try watch(descriptor, .write, "addWriter", Handle(repeats: true, origin: origin(file, line), callback))
  }

  /// Stops watching for readability. asyncio's `remove_reader`.
  ///
  /// - Returns: whether there was a callback to remove.
  /// - Throws: ``IOError`` for a negative descriptor; ``EventLoopError`` `.descriptorInUse` for a transport's.
  @discardableResult
  public func removeReader(_ descriptor: FileDescriptor) throws -> Bool {
    try programWatcher(of: descriptor, "removeReader")?.remove(.read) ?? false
  }

  /// Stops watching for writability. asyncio's `remove_writer`.
  ///
  /// - Returns: whether there was a callback to remove.
  /// - Throws: as ``removeReader(_:)``.
  @discardableResult
  public func removeWriter(_ descriptor: FileDescriptor) throws -> Bool {
    try programWatcher(of: descriptor, "removeWriter")?.remove(.write) ?? false
  }

  private func watch(
    _ descriptor: FileDescriptor, _ interest: Interest, _ method: StaticString, _ handle: Handle
  ) throws -> Handle {
    let watcher: DescriptorWatcher
    if let existing = try programWatcher(of: descriptor, method) {
      watcher = existing
    } else {
      watcher = DescriptorWatcher(self, descriptor)
      claim(descriptor, for: watcher)
    }
    do throws(Errno) {
      try watcher.set(handle, interest)
    } catch {
      release(descriptor)
      throw IOError(error, method.description, "descriptor \(descriptor.rawValue)")
    }
    return handle
  }

  /// The program's own watcher of the descriptor, if there is one.
  private func programWatcher(of descriptor: FileDescriptor, _ method: StaticString) throws -> DescriptorWatcher? {
    check(method)
    guard descriptor.rawValue >= 0 else {
      throw IOError(.badFileDescriptor, method.description, "descriptor \(descriptor.rawValue)")
    }
    guard let watcher = readiness.watcher(of: descriptor) else { return nil }
    guard !watcher.ownsDescriptor else {
      throw EventLoopError(
        .descriptorInUse, "\(method): descriptor \(descriptor.rawValue) belongs to a transport or server")
    }
    return watcher as? DescriptorWatcher
  }
}

extension EventLoop {
  /// Serves libdispatch's main queue, where `MainActor`'s work arrives unless the loop has adopted it, and where
  /// `DispatchQueue.main` sends its blocks in any case.
  func watchMainDispatchQueue() {
    let descriptor = FileDescriptor(rawValue: MainDispatchQueue.descriptor)
    guard ThreadIdentity.isMain, descriptor.rawValue >= 0, readiness.watcher(of: descriptor) == nil else { return }
    // Without it the loop is whole; the queue's blocks wait, as they do in any program that does not serve them.
    _ = try? addReader(descriptor) { MainDispatchQueue.drain() }
  }

  func unwatchMainDispatchQueue() {
    _ = try? removeReader(FileDescriptor(rawValue: MainDispatchQueue.descriptor))
  }
}
