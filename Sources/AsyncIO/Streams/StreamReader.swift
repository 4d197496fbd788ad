// SPDX-License-Identifier: Apache-2.0

/// Reads a stream of bytes with async calls. asyncio's `StreamReader`.
///
/// It comes from `openConnection`, `startServer` or `openReadPipe`, and belongs to its loop's thread. One task reads at a
/// time. A read that is cancelled loses nothing: what has arrived waits for the next.
public final class StreamReader {
  /// 64 KiB: how long a line may be, and half of what is buffered before the peer is held back.
  public static let defaultLimit = 64 * 1024

  private let loop: EventLoop
  /// How many bytes may come before a separator. Over twice as many, the transport is paused.
  private let limit: Int
  /// Over so many bytes the peer is held back.
  private var holdLimit: Int { limit > .max / 2 ? .max : 2 * limit }
  private var buffer = ReceiveBuffer()
  private var hasEnded = false
  /// What reads throw at the end of the stream, where that has come of a dropped writer rather than of the peer.
  private var cutOff: DroppedWriterError?
  private var failure: (any Error)?
  /// The task that waits for data. It is kept from its wake-up until it runs, so that no other task reads in between.
  private var waiter: Waiter?
  /// Counts what may end a wait: data, the end, an error.
  private var arrivals = 0
  /// The transport, as long as it delivers.
  private var source: (any ReadTransport)?
  /// Whether nothing but this reader has a use for the transport.
  private var ownsTransport = false
  /// Whether we paused the transport.
  private var isPaused = false
  /// Whether somebody waits for all there is, whatever the limit: then the transport is not paused.
  var collects = false {
    didSet { if collects { resumeTransport() } }
  }

  /// Makes a reader that is fed by hand, with ``feedData(_:)-([UInt8])`` and ``feedEOF()``.
  ///
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a limit of zero or less.
  public init(_ loop: EventLoop, limit: Int = StreamReader.defaultLimit) throws(EventLoopError) {
    guard limit > 0 else { throw EventLoopError(.invalidArgument, "the limit of a stream reader must be above zero") }
    self.loop = loop
    self.limit = limit
  }

  deinit {
    guard ownsTransport, let source else { return }
    // The last reference may go wherever a task ends.
    let abandoned = LoopBound(source)
    loop.taskExecutor.door.perform { abandoned.value.close() }
  }

  // MARK: What arrives

  /// Names the transport that is paused when too much has arrived.
  ///
  /// - Parameters:
  ///   - transport: where the bytes come from.
  ///   - owned: whether it is closed when the reader is dropped.
  func setTransport(_ transport: any ReadTransport, owned: Bool = false) {
    source = transport
    ownsTransport = owned
  }

  /// No more will come; reads throw the error, if there is one.
  func connectionLost(_ error: (any Error)?) {
    source = nil
    if let error { setError(error) } else { feedEOF() }
  }

  /// The connection is closed by nobody's wish: what has arrived can be read, and then reads throw the error.
  func writerWasDropped(_ error: DroppedWriterError) {
    if !hasEnded { cutOff = error }
  }

  /// Where the bytes come from; nil for a reader that is fed by hand, and once the connection is lost. In asyncio the
  /// transport that `connect_read_pipe` returns, or the writer's.
  public var transport: (any ReadTransport)? {
    loop.checkThread("StreamReader.transport")
    return source
  }

  /// How many bytes have arrived and were not read yet.
  var unreadCount: Int { buffer.count }

  /// Takes away what was not read yet: it belongs to someone else.
  func takeUnread() -> [UInt8] {
    defer { resumeTransport() }
    return buffer.takeAll()
  }

  /// Adds bytes to what can be read. asyncio's `feed_data`.
  public func feedData(_ bytes: [UInt8]) { feedData(bytes.span) }

  /// Adds bytes to what can be read. asyncio's `feed_data`.
  public func feedData(_ bytes: Span<UInt8>) {
    loop.checkThread("StreamReader.feedData")
    require(!hasEnded, "StreamReader.feedData: called after feedEOF")
    guard bytes.count > 0 else { return }
    buffer.append(bytes)
    wake()
    if !isPaused, !collects, buffer.count > holdLimit, let source {
      isPaused = true
      source.pauseReading()
    }
  }

  /// Says that no more will come. asyncio's `feed_eof`.
  public func feedEOF() {
    loop.checkThread("StreamReader.feedEOF")
    hasEnded = true
    wake()
  }

  /// The error that reads throw, once it is set. asyncio's `exception`.
  public var error: (any Error)? {
    loop.checkThread("StreamReader.error")
    return failure
  }

  /// Has the waiting read, and all later ones, throw an error. asyncio's `set_exception`.
  public func setError(_ error: any Error) {
    loop.checkThread("StreamReader.setError")
    failure = error
    wake()
  }

  /// Whether everything was read and no more will come. asyncio's `at_eof`.
  public var atEOF: Bool {
    loop.checkThread("StreamReader.atEOF")
    return hasEnded && buffer.isEmpty
  }

  private func wake() {
    arrivals += 1
    waiter?.resume()
  }

  /// Suspends the task until something arrives, the stream ends, or fails.
  @inline(__always)
  private func waitForData(_ method: StaticString) async throws {
    // What is buffered is not enough for this read. While the transport is paused no more would come.
    resumeTransport()
    let seen = arrivals
    var own: Waiter?
    defer { if waiter === own { waiter = nil } }
    try await loop.wait(method) { new in
      if arrivals != seen {
        new.resume()
      } else if waiter != nil {
        new.resume(.failure(anotherTaskWaits(method)))
      } else {
        own = new
        waiter = new
        // A cancelled task takes nothing any more: the next one may read at once.
        new.onCancel = { self.waiter = nil }
      }
    }
    if let failure { throw failure }
  }

  private func resumeTransport() {
    guard isPaused else { return }
    isPaused = false
    source?.resumeReading()
  }

  /// Lets the peer go on once little enough is left.
  private func afterTaking() {
    if isPaused, buffer.count <= limit { resumeTransport() }
  }

  private func begin(_ method: StaticString) throws {
    loop.checkThread(method)
    if let failure { throw failure }
    guard waiter == nil else { throw anotherTaskWaits(method) }
  }

  private func anotherTaskWaits(_ method: StaticString) -> EventLoopError {
    EventLoopError(.invalidState, "\(method): another task is waiting for data of this reader")
  }

  // MARK: Reading

  /// Reads what is there, at most `maxBytes`; waits until something is. asyncio's `read`.
  ///
  /// - Parameter maxBytes: negative, the default, reads everything up to the end of the stream, whatever the limit.
  /// - Returns: no bytes only at the end of the stream, or when none were asked for.
  /// - Throws: `CancellationError`, and then nothing is lost; ``IOError`` when the connection broke;
  ///   ``DroppedWriterError`` at an end that came of the writer's being dropped.
  public func read(_ maxBytes: Int = -1) async throws -> [UInt8] {
    try begin("StreamReader.read")
    if maxBytes == 0 { return [] }
    if maxBytes < 0 {
      while !hasEnded { try await waitForData("StreamReader.read") }
    } else {
      while buffer.isEmpty, !hasEnded { try await waitForData("StreamReader.read") }
    }
    if hasEnded, let cutOff, maxBytes < 0 || buffer.isEmpty { throw cutOff }
    defer { afterTaking() }
    return maxBytes < 0 ? buffer.takeAll() : buffer.take(maxBytes)
  }

  /// Reads exactly so many bytes, whatever the limit. asyncio's `readexactly`.
  ///
  /// - Throws: ``IncompleteReadError`` with what there was, when the stream ends before; ``EventLoopError``
  ///   `.invalidArgument` for a negative count; and as ``read(_:)``.
  public func readExactly(_ count: Int) async throws -> [UInt8] {
    guard count >= 0 else { throw EventLoopError(.invalidArgument, "readExactly: the count must not be negative") }
    try begin("StreamReader.readExactly")
    while buffer.count < count {
      if hasEnded {
        if let cutOff { throw cutOff }
        throw IncompleteReadError(partial: buffer.takeAll(), expected: count)
      }
      try await waitForData("StreamReader.readExactly")
    }
    if count == 0 { return [] }
    defer { afterTaking() }
    return buffer.take(count)
  }

  /// Reads up to and with a separator. asyncio's `readuntil`.
  ///
  /// - Throws: ``IncompleteReadError`` with what there was, when the stream ends before; ``LimitOverrunError``, and then
  ///   the bytes stay, when more bytes than the limit come before the separator; ``EventLoopError`` `.invalidArgument`
  ///   for an empty separator; and as ``read(_:)``.
  public func readUntil(_ separator: [UInt8] = [UInt8(ascii: "\n")]) async throws -> [UInt8] {
    guard !separator.isEmpty else {
      throw EventLoopError(.invalidArgument, "readUntil: the separator must not be empty")
    }
    try begin("StreamReader.readUntil")
    // Where the separator may begin: what comes before was looked at already.
    var searched = 0
    while true {
      if let index = buffer.firstIndex(of: separator, from: searched) {
        guard index <= limit else { throw LimitOverrunError(consumed: index, isSeparatorFound: true) }
        defer { afterTaking() }
        return buffer.take(index + separator.count)
      }
      searched = Swift.max(0, buffer.count + 1 - separator.count)
      guard searched <= limit else { throw LimitOverrunError(consumed: searched, isSeparatorFound: false) }
      if hasEnded {
        if let cutOff { throw cutOff }
        throw IncompleteReadError(partial: buffer.takeAll(), expected: nil)
      }
      try await waitForData("StreamReader.readUntil")
    }
  }

  /// Reads a line, with its newline. asyncio's `readline`.
  ///
  /// - Returns: at the end of the stream what is left, maybe nothing.
  /// - Throws: ``LineTooLongError`` for a line beyond the limit, which is dropped; and as ``read(_:)``.
  public func readLine() async throws -> [UInt8] {
    do {
      return try await readUntil()
    } catch let end as IncompleteReadError {
      return end.partial
    } catch let overrun as LimitOverrunError {
      buffer.drop(overrun.isSeparatorFound ? overrun.consumed + 1 : buffer.count)
      afterTaking()
      throw LineTooLongError(limit: limit)
    }
  }
}

// MARK: Sequences

extension StreamReader: AsyncSequence {
  /// The stream in the pieces in which it arrives, up to its end.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let reader: StreamReader

    /// The next piece; nil at the end of the stream.
    public mutating func next() async throws -> [UInt8]? {
      try await next(isolation: nil)
    }

    /// The next piece; nil at the end of the stream.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
      let chunk = try await reader.read(StreamReader.defaultLimit)
      return chunk.isEmpty ? nil : chunk
    }
  }

  /// Iterates over the pieces in which the stream arrives.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }

  /// The stream's lines as text, without their line ends (`\n` or `\r\n`), up to the end of the stream.
  public var lines: Lines { Lines(reader: self) }

  /// The lines of a stream.
  public struct Lines: AsyncSequence {
    let reader: StreamReader

    /// Iterates over lines.
    public struct AsyncIterator: AsyncIteratorProtocol {
      let reader: StreamReader

      /// The next line; nil at the end of the stream.
      public mutating func next() async throws -> String? {
        try await next(isolation: nil)
      }

      /// The next line; nil at the end of the stream.
      public mutating func next(isolation actor: isolated (any Actor)?) async throws -> String? {
        var line = try await reader.readLine()
        if line.isEmpty { return nil }
        if line.last == UInt8(ascii: "\n") {
          line.removeLast()
          if line.last == UInt8(ascii: "\r") { line.removeLast() }
        }
        return String(decoding: line, as: UTF8.self)
      }
    }

    /// Iterates over the stream's lines.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }
  }
}
