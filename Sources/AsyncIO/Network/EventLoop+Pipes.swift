// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

extension EventLoop {
  /// Reads from a pipe, FIFO, socket, terminal or other character device. asyncio's `connect_read_pipe`.
  ///
  /// From then on the descriptor is the transport's, which closes it right after `connectionLost`. When the call throws, it
  /// stays the caller's, as it was. Standard input will do: the shell, and children that inherit it, find it as it
  /// was. A device that is no terminal, or a terminal or pipe that this user may not open, is non-blocking as long as the
  /// transport has it; others who share it notice. To read and write the same descriptor, hand in a duplicate
  /// (`descriptor.duplicate()`) for the second transport.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - descriptor: the reading end.
  /// - Returns: the transport, and the protocol that the factory made.
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a regular file, a directory, the wrong end of a pipe or the like,
  ///   `.descriptorInUse` for a transport's descriptor; ``IOError`` for one that is closed; whatever the factory throws.
  public func connectReadPipe<P: ReadPipeProtocol>(
    _ factory: () throws -> P, _ descriptor: FileDescriptor
  ) async throws -> (transport: ReadPipeTransport, protocol: P) {
    let kind = try checkPipe("connectReadPipe", descriptor, .read)
    let receiver = try factory()
    let transport = ReadPipeTransport(self, try borrow("connectReadPipe", descriptor, kind, .read))
    transport.start(receiver)
    return (transport, receiver)
  }

  /// Writes to a pipe, FIFO, socket, terminal or other character device. asyncio's `connect_write_pipe`.
  ///
  /// The descriptor becomes the transport's as with ``connectReadPipe(_:_:)``. Standard output and standard error will
  /// do.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - descriptor: the writing end.
  /// - Returns: the transport, and the protocol that the factory made.
  /// - Throws: as ``connectReadPipe(_:_:)``.
  public func connectWritePipe<P: WritePipeProtocol>(
    _ factory: () throws -> P, _ descriptor: FileDescriptor
  ) async throws -> (transport: WritePipeTransport, protocol: P) {
    let kind = try checkPipe("connectWritePipe", descriptor, .write)
    let receiver = try factory()
    let transport = WritePipeTransport(self, try borrow("connectWritePipe", descriptor, kind, .write))
    transport.start(receiver)
    return (transport, receiver)
  }

  /// Rejects what cannot be a pipe's end, before anything is changed about it.
  private func checkPipe(
    _ method: StaticString, _ descriptor: FileDescriptor, _ direction: Interest
  ) throws -> FileKind {
    try checkOpen(method)
    let name = "descriptor \(descriptor.rawValue)"
    let kind: FileKind
    let directions: Interest
    do throws(Errno) {
      kind = try kernel.fileKind(descriptor)
      directions = try kernel.directions(descriptor)
    } catch {
      throw IOError(error, method.description, name)
    }
    guard [.pipe, .socket, .characterDevice].contains(kind) else {
      throw EventLoopError(
        .invalidArgument,
        "\(method): \(name) is no pipe, socket or character device; files are read and written as such")
    }
    guard directions.contains(direction) else {
      let wanted = direction == .read ? "reading" : "writing"
      throw EventLoopError(.invalidArgument, "\(method): \(name) was not opened for \(wanted); is it the other end?")
    }
    try checkUnowned(method, descriptor)
    return kind
  }

  /// What the factory did may have claimed the descriptor.
  private func borrow(
    _ method: StaticString, _ descriptor: FileDescriptor, _ kind: FileKind, _ direction: Interest
  ) throws -> OwnedDescriptor {
    try checkUnowned(method, descriptor)
    do throws(Errno) {
      let own = try BorrowedBlockingMode.borrow(descriptor, kind, for: direction, kernel)
      return OwnedDescriptor(own, kernel, kind, isBorrowed: true, known: descriptor)
    } catch {
      throw IOError(error, method.description, "descriptor \(descriptor.rawValue)")
    }
  }

  private func checkUnowned(_ method: StaticString, _ descriptor: FileDescriptor) throws {
    if readiness.watcher(of: descriptor)?.ownsDescriptor == true {
      throw EventLoopError(
        .descriptorInUse, "\(method): descriptor \(descriptor.rawValue) belongs to a transport or server")
    }
  }
}
