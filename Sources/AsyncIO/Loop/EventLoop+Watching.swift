// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

extension EventLoop {
  /// Calls back whenever the descriptor can be read from, until ``removeReader(_:)``. asyncio's `add_reader`.
  ///
  /// Level-triggered: the callback runs in each iteration that finds the descriptor readable, at its end, or in error. A
  /// socket with an error queue (`IP_RECVERR`) is in error as long as the callback leaves something in that.
  /// A second call replaces the callback. The descriptor stays the caller's: remove the reader before closing it.
  ///
  /// - Throws: ``IOError`` for a descriptor that is closed or can't be watched, such as a regular file's;
  ///   ``EventLoopError`` `.descriptorInUse` for one that belongs to a transport, `.closed` on a closed loop.
  @discardableResult
  public func addReader(
    _ descriptor: FileDescriptor, file: StaticString = #fileID, line: UInt = #line,
    _ callback: @escaping () throws -> Void
  ) throws -> Handle {
    try watch(descriptor, .read, "addReader", makeRepeated(file, line, callback))
  }

  /// Calls back whenever the descriptor can be written to, until ``removeWriter(_:)``. asyncio's `add_writer`.
  ///
  /// - Throws: as ``addReader(_:file:line:_:)``.
  @discardableResult
  public func addWriter(
    _ descriptor: FileDescriptor, file: StaticString = #fileID, line: UInt = #line,
    _ callback: @escaping () throws -> Void
  ) throws -> Handle {
    try watch(descriptor, .write, "addWriter", makeRepeated(file, line, callback))
  }

  /// Stops watching for readability. asyncio's `remove_reader`.
  ///
  /// - Returns: whether there was a callback to remove; never on a closed loop.
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

  /// A callback that runs again and again.
  func makeRepeated(_ file: StaticString, _ line: UInt, _ callback: @escaping () throws -> Void) -> ScheduledCall {
    let call = ScheduledCall(core, repeats: true, callback)
    if debug { call.callSite = CallSite(file, line) }
    return call
  }

  private func watch(
    _ descriptor: FileDescriptor, _ interest: Interest, _ method: StaticString, _ call: ScheduledCall
  ) throws -> Handle {
    try checkOpen(method)
    let watcher = try ensureProgramWatcher(of: descriptor, method)
    do throws(Errno) {
      try watcher.setCallback(call, interest)
    } catch {
      release(descriptor)
      throw IOError(error, method.description, "descriptor \(descriptor.rawValue)")
    }
    return Handle(call)
  }

  /// The program's own watcher of the descriptor, which is made when there is none.
  func ensureProgramWatcher(of descriptor: FileDescriptor, _ method: StaticString) throws -> DescriptorWatcher {
    try programWatcher(of: descriptor, method) ?? makeProgramWatcher(of: descriptor, method)
  }

  private func makeProgramWatcher(
    of descriptor: FileDescriptor, _ method: StaticString
  ) throws(IOError) -> DescriptorWatcher {
    // The table has room for every number up to the largest: one that nobody has must not make it grow.
    if !readiness.hasRoom(for: descriptor) {
      do throws(Errno) { _ = try kernel.isNonBlocking(descriptor) } catch {
        throw IOError(error, method.description, "descriptor \(descriptor.rawValue)")
      }
    }
    return DescriptorWatcher(self, descriptor)
  }

  /// The program's own watcher of the descriptor, if there is one.
  private func programWatcher(of descriptor: FileDescriptor, _ method: StaticString) throws -> DescriptorWatcher? {
    checkThread(method)
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
