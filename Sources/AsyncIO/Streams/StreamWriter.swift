// SPDX-License-Identifier: Apache-2.0

/// Writes a stream of bytes, with back-pressure by async calls. asyncio's `StreamWriter`.
///
/// It comes from `openConnection`, `startServer` or `openWritePipe`, and belongs to its loop's thread. A connection or
/// pipe whose writer is dropped is closed: the reader then throws a ``DroppedWriterError`` where it would come to the end, and
/// debug mode logs where the writer was made.
public final class StreamWriter {
  /// The transport below. asyncio's `transport`.
  public let transport: any WriteTransport
  let flow: StreamFlow
  /// Where the program made it; nil where the library did.
  // Apart, since the connections of a server's have none, and may be many.
  private let origin: CallSiteBox?

  init(_ transport: any WriteTransport, _ flow: StreamFlow, madeAt callSite: CallSite? = nil) {
    self.transport = transport
    self.flow = flow
    origin = callSite.map(CallSiteBox.init)
  }

  deinit {
    // The last reference may go wherever a task ends.
    let left = LoopBound((transport, flow))
    let callSite = origin?.site
    flow.loop.taskExecutor.door.runOnLoop {
      let (transport, flow) = left.value
      if !transport.isClosing { flow.writerWasDropped(transport, madeAt: callSite) }
    }
  }

  /// Sends bytes, or buffers what the kernel does not take now: follow it with ``drain()``. asyncio's `write`.
  public func write(_ bytes: Span<UInt8>) {
    flow.check("StreamWriter.write")
    transport.write(bytes)
  }

  /// Sends bytes, or buffers what the kernel does not take now: follow it with ``drain()``. asyncio's `write`.
  public func write(_ bytes: [UInt8]) { write(bytes.span) }

  /// Sends a string's UTF-8 bytes, or buffers what the kernel does not take now. asyncio's `write`.
  public func write(_ text: String) { write(text.utf8Span.span) }

  /// Sends several chunks, by one system call if the kernel takes them. asyncio's `writelines`.
  public func writeLines(_ lines: [[UInt8]]) {
    flow.check("StreamWriter.writeLines")
    transport.writeLines(lines)
  }

  /// Waits until little enough is buffered to go on writing. asyncio's `drain`.
  ///
  /// Returns at once as long as less than the high-water mark is buffered. Any number of tasks may wait.
  ///
  /// While a close of our own still sends, this waits for it.
  ///
  /// - Throws: ``IOError`` when the connection broke, or was closed before the call; `CancellationError`, and then what is
  ///   buffered is still sent.
  public func drain() async throws {
    flow.check("StreamWriter.drain")
    try await flow.drain(transport)
  }

  // Inlined into programs, so that it costs a frame only where it has to wait.

  /// Writes and drains.
  ///
  /// - Throws: as ``drain()``.
  @inlinable
  public func send(_ bytes: [UInt8]) async throws {
    if !writeIsEnough(bytes) { try await drain() }
  }

  /// Writes a string's UTF-8 bytes and drains.
  ///
  /// - Throws: as ``drain()``.
  @inlinable
  public func send(_ text: String) async throws {
    if !writeIsEnough(text) { try await drain() }
  }

  /// Writes.
  ///
  /// - Returns: whether a drain would return at once.
  @usableFromInline
  func writeIsEnough(_ bytes: [UInt8]) -> Bool {
    write(bytes)
    return flow.isReadyForMore(transport)
  }

  @usableFromInline
  func writeIsEnough(_ text: String) -> Bool {
    write(text)
    return flow.isReadyForMore(transport)
  }

  /// Whether ``writeEOF()`` is of use. asyncio's `can_write_eof`.
  public var canWriteEOF: Bool {
    flow.check("StreamWriter.canWriteEOF")
    return transport.canWriteEOF
  }

  /// Ends the write side once everything is sent; reading goes on. A pipe is closed by it. asyncio's `write_eof`.
  public func writeEOF() {
    flow.check("StreamWriter.writeEOF")
    transport.writeEOF()
  }

  /// Closes the connection once everything is sent. asyncio's `close`.
  public func close() {
    flow.check("StreamWriter.close")
    transport.close()
  }

  /// Whether it is closing or closed. asyncio's `is_closing`.
  public var isClosing: Bool {
    flow.check("StreamWriter.isClosing")
    return transport.isClosing
  }

  /// Waits until the connection is closed. asyncio's `wait_closed`.
  ///
  /// - Throws: ``IOError`` when the connection broke; `CancellationError` when the task is cancelled.
  public func waitClosed() async throws {
    flow.check("StreamWriter.waitClosed")
    try await flow.waitClosed()
  }

  /// A piece of information about the transport; nil when there is none. asyncio's `get_extra_info`.
  public func getExtraInfo<Value>(_ key: ExtraInfoKey<Value>) -> Value? { key.read(transport) }
}
