// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// Reads of files for sending, which may wait for a disk. Those that were cancelled on one that does not answer do not
/// hold up the others.
private let fileThreads = ThreadPoolExecutor(WorkerThreads.Options(limit: 4, spares: 28, name: "file"))

extension EventLoop {
  /// Sends a file, or a part of it, over a transport. asyncio's `sendfile`.
  ///
  /// What was written before goes first. The kernel copies straight from the file to the socket; where it cannot, as
  /// over TLS, the bytes are read and written instead. While it goes on, nothing else may be written to the transport; closing it, or
  /// ending its write side, waits for the file as for buffered bytes.
  ///
  /// - Parameters:
  ///   - transport: a connection that is open.
  ///   - file: an open file. Its position is left behind the last byte that was sent.
  ///   - offset: where in the file to begin.
  ///   - count: how many bytes to send; nil sends up to the end of the file.
  ///   - fallback: false throws rather than read and write.
  /// - Returns: how many bytes were sent.
  /// - Throws: ``EventLoopError`` `.transportState` for a transport that is closing or sends a file already,
  ///   `.sendFileNotAvailable` without fallback, `.invalidArgument`; ``IOError`` when the connection breaks.
  @discardableResult
  public func sendFile(
    _ transport: StreamTransport, _ file: FileDescriptor, offset: Int64 = 0, count: Int? = nil, fallback: Bool = true
  ) async throws -> Int {
    try checkOpen("sendFile")
    let part = try FilePart(file, offset, count)
    try transport.beginFileTransfer()
    defer { transport.endFileTransfer() }
    try await transport.waitUntilFlushed()
    if let tls = transport.tls { return try await copy(part, to: transport, tls, fallback: fallback) }
    let target = FileTarget(
      socket: transport.socket, checkOpen: transport.checkOpen, waitUntilWritable: transport.waitUntilWritable)
    return try await transfer(part, to: target, fallback: fallback)
  }

  /// Sends a file, or a part of it, over a socket. asyncio's `sock_sendfile`.
  ///
  /// - Parameters: as ``sendFile(_:_:offset:count:fallback:)``.
  /// - Returns: how many bytes were sent.
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a blocking or a datagram socket, a negative offset, or a count
  ///   that is not above zero, `.sendFileNotAvailable` without fallback; ``IOError`` when the connection breaks.
  @discardableResult
  public func sockSendFile(
    _ socket: Socket, _ file: FileDescriptor, offset: Int64 = 0, count: Int? = nil, fallback: Bool = true
  ) async throws -> Int {
    try checkSocket("sockSendFile", socket)
    try socket.requireStream("sockSendFile")
    let part = try FilePart(file, offset, count)
    let target = FileTarget(
      socket: socket,
      checkOpen: { try socket.checkAfterWait("sockSendFile") },
      waitUntilWritable: { [self] in try await waitUntilReady(socket, for: .write, "sockSendFile") })
    return try await transfer(part, to: target, fallback: fallback)
  }

  /// How much of a file goes out before others have their turn.
  private static let fileShare = 1024 * 1024

  private func transfer(
    _ part: FilePart, to target: FileTarget, fallback: Bool
  ) async throws -> Int {
    var part = part
    var share = EventLoop.fileShare
    // The position is moved also when the transfer breaks off.
    defer { if part.sent > 0 { try? kernel.seekFile(part.file, to: part.position) } }
    while part.left > 0 {
      try target.checkOpen()
      do throws(Errno) {
        let sent = try kernel.sendFile(
          target.socket.descriptor, from: part.file, offset: part.position, count: min(part.left, share))
        if sent == 0 { break }
        part.sent += sent
        share -= sent
      } catch {
        if error == .wouldBlock {
          try await target.waitUntilWritable()
          share = EventLoop.fileShare
        } else {
          guard part.sent == 0, error.meansNoSendFile else {
            throw IOError(error, "sendfile", "descriptor \(part.file.rawValue)")
          }
          guard fallback else {
            throw EventLoopError(
              .sendFileNotAvailable, "sendFile: the kernel cannot send this file by itself (\(error.symbol))")
          }
          try await copy(&part, to: target)
          break
        }
      }
      // A peer that takes it as fast as it comes.
      if share == 0 {
        try await sleep(for: .zero)
        share = EventLoop.fileShare
      }
    }
    return part.sent
  }

  /// Reads, encrypts and writes: the kernel knows nothing of the encryption.
  private func copy(
    _ part: FilePart, to transport: StreamTransport, _ stage: TLSStage, fallback: Bool
  ) async throws -> Int {
    guard fallback else {
      throw EventLoopError(.sendFileNotAvailable, "sendFile: the kernel cannot encrypt what it sends")
    }
    var part = part
    defer { if part.sent > 0 { try? kernel.seekFile(part.file, to: part.position) } }
    while part.left > 0 {
      let chunk = try await read(part)
      if chunk.isEmpty { break }
      try transport.checkOpen()
      transport.writeEncrypted(chunk.span, stage)
      part.sent += chunk.count
      try await transport.waitUntilFlushed()
    }
    return part.sent
  }

  /// Reads and writes, where the kernel cannot do both in one.
  private func copy(_ part: inout FilePart, to target: FileTarget) async throws {
    while part.left > 0 {
      let chunk = try await read(part)
      if chunk.isEmpty { return }
      var written = 0
      while written < chunk.count {
        try target.checkOpen()
        do throws(IOError) {
          let count = try target.socket.send(chunk.span.extracting(written...))
          written += count
          part.sent += count
        } catch {
          guard error.code == .wouldBlock else { throw error }
          try await target.waitUntilWritable()
        }
      }
    }
  }

  /// Reads the part's next bytes; none at the file's end.
  func read(_ part: FilePart) async throws -> [UInt8] {
    let kernel = kernel
    return try await onThread(fileThreads, "sendFile") { () throws(IOError) in
      var chunk = [UInt8](repeating: 0, count: min(part.left, EventLoop.readLimit))
      do throws(Errno) {
        var span = chunk.mutableSpan
        let count = try kernel.readFile(part.file, offset: part.position, into: &span)
        chunk.removeSubrange(count...)
        return chunk
      } catch {
        throw IOError(error, "pread", "descriptor \(part.file.rawValue)")
      }
    }
  }
}

/// Where a file goes.
private struct FileTarget {
  let socket: Socket
  /// Throws when there is no connection any more.
  let checkOpen: () throws -> Void
  /// Suspends the task until the kernel takes more.
  let waitUntilWritable: () async throws -> Void
}

extension Errno {
  /// Whether a call says that it does not work for this pair of descriptors, rather than that it failed.
  fileprivate var meansNoSendFile: Bool {
    [.invalidArgument, .noFunction, .notSupported, .notSocket, .overflow, .illegalSeek].contains(self)
  }
}
