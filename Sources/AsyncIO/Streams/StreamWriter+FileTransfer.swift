// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

extension StreamWriter {
  /// Sends a file, or a part of it, behind what was written before. asyncio's `loop.sendfile` on the writer's transport.
  ///
  /// The kernel copies straight from the file to a socket; to a pipe, the bytes are read and written, with
  /// back-pressure. While it goes on, nothing else may be written.
  ///
  /// - Parameters:
  ///   - file: an open file. Its position is left behind the last byte that was sent.
  ///   - offset: where in the file to begin.
  ///   - count: how many bytes to send; nil sends up to the end of the file.
  ///   - fallback: false throws rather than read and write.
  /// - Returns: how many bytes were sent.
  /// - Throws: ``EventLoopError`` `.transportState` for a writer that is closing, `.sendFileNotAvailable` without
  ///   fallback, `.invalidArgument`; ``IOError`` when the connection breaks or the reader goes away.
  @discardableResult
  public func sendFile(
    _ file: FileDescriptor, offset: Int64 = 0, count: Int? = nil, fallback: Bool = true
  ) async throws -> Int {
    if let transport = transport as? StreamTransport {
      return try await flow.loop.sendFile(transport, file, offset: offset, count: count, fallback: fallback)
    }
    var part = try FilePart(file, offset, count)
    guard !transport.isClosing else {
      throw EventLoopError(.transportState, "sendFile: the transport is closing")
    }
    guard fallback else {
      throw EventLoopError(.sendFileNotAvailable, "sendFile: the kernel sends files to sockets alone by itself")
    }
    // The position is moved also when the transfer breaks off.
    defer { if part.sent > 0 { try? flow.loop.kernel.seekFile(file, to: part.position) } }
    while part.left > 0 {
      let chunk = try await flow.loop.read(part)
      if chunk.isEmpty { break }
      write(chunk)
      part.sent += chunk.count
      if !flow.isReadyForMore(transport) { try await drain() }
    }
    return part.sent
  }
}
