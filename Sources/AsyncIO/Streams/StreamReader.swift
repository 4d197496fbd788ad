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
  private let bufferCell = UncheckedCell(ReceiveBuffer())
  private var hasEnded = false
  private var buffer: ReceiveBuffer {
    @inline(__always) _read { yield bufferCell.value }
    @inline(__always) _modify { yield &bufferCell.value }
  }
  /// What reads throw at the end of the stream, where that has come of a dropped writer rather than of the peer.
  private var cutOff: DroppedWriterError?
  private var failure: (any Error)?
  /// By which the loop's tasks wait for data, one at a time.
  private let waiter = Waiter("StreamReader.read")
  /// Whether one does, or was woken and has not run yet: no other task reads in between.
  private var isWaiting = false
  /// The same of a task that is not the loop's own.
  private var foreignWaiter: Waiter?
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
    loop.taskExecutor.door.runOnLoop { abandoned.value.close() }
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
    if isWaiting { waiter.resume() }
    foreignWaiter?.resume()
  }

  /// Whether a task waits for data, or was woken and has not run yet. One that is cancelled takes nothing any more: the next one
  /// may read at once.
  private var isAwaited: Bool {
    if isWaiting, !waiter.wasCancelled { return true }
    guard let foreignWaiter else { return false }
    return !foreignWaiter.wasCancelled
  }

  /// Suspends the task until something arrives, the stream ends, or fails. What is buffered is not enough for its read.
  @usableFromInline
  func waitForData(_ method: StaticString) async throws {
    let seen = arrivals
    // While the transport is paused no more would come.
    resumeTransport()
    if let owner = try loop.ownerOfWait(method) {
      waiter.reuse(for: method)
      isWaiting = true
      try await waiter.suspend(for: owner) { if arrivals != seen { waiter.resume() } }
      isWaiting = false
    } else {
      try await waitForDataAsForeigner(method, seen)
    }
  }

  /// The same for a task that is not the loop's own. Other code may run before it is suspended.
  private func waitForDataAsForeigner(_ method: StaticString, _ seen: Int) async throws {
    let waiter = Waiter(method)
    try await loop.suspendForeigner(waiter) {
      if isAwaited {
        waiter.resume(.failure(anotherTaskWaits(method)))
      } else {
        foreignWaiter = waiter
        if arrivals != seen { waiter.resume() }
      }
    }
    foreignWaiter = nil
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

  private func checkCanRead(_ method: StaticString) throws {
    loop.checkThread(method)
    if let failure { throw failure }
    if isAwaited { throw anotherTaskWaits(method) }
  }

  private func anotherTaskWaits(_ method: StaticString) -> EventLoopError {
    EventLoopError(.invalidState, "\(method): another task is waiting for data of this reader")
  }

  // MARK: Reading

  // Each of these first looks whether what it wants is there, without a step that may suspend. The loops around that are
  // inlined into programs: a function between them and the wait would cost every wait a frame and a visit to the runtime.

  /// Reads what is there, at most `maxBytes`; waits until something is. asyncio's `read`.
  ///
  /// - Parameter maxBytes: negative, the default, reads everything up to the end of the stream, whatever the limit.
  /// - Returns: no bytes only at the end of the stream, or when none were asked for.
  /// - Throws: `CancellationError`, and then nothing is lost; ``IOError`` when the connection broke;
  ///   ``DroppedWriterError`` at an end that came of the writer's being dropped.
  @inlinable
  public func read(_ maxBytes: Int = -1) async throws -> [UInt8] {
    while true {
      if let bytes = try readNow(maxBytes) { return bytes }
      try await waitForData("StreamReader.read")
    }
  }

  @usableFromInline
  func readNow(_ maxBytes: Int) throws -> [UInt8]? {
    try checkCanRead("StreamReader.read")
    if maxBytes == 0 { return [] }
    if !hasEnded, maxBytes < 0 || buffer.isEmpty { return nil }
    if hasEnded, let cutOff, maxBytes < 0 || buffer.isEmpty { throw cutOff }
    defer { afterTaking() }
    return buffer.take(maxBytes < 0 ? buffer.count : maxBytes)
  }

  /// Reads exactly so many bytes, whatever the limit. asyncio's `readexactly`.
  ///
  /// - Throws: ``IncompleteReadError`` with what there was, when the stream ends before; ``EventLoopError``
  ///   `.invalidArgument` for a negative count; and as ``read(_:)``.
  @inlinable
  public func readExactly(_ count: Int) async throws -> [UInt8] {
    while true {
      if let bytes = try readExactlyNow(count) { return bytes }
      try await waitForData("StreamReader.readExactly")
    }
  }

  @usableFromInline
  func readExactlyNow(_ count: Int) throws -> [UInt8]? {
    guard count >= 0 else { throw EventLoopError(.invalidArgument, "readExactly: the count must not be negative") }
    try checkCanRead("StreamReader.readExactly")
    if buffer.count < count {
      guard hasEnded else { return nil }
      if let cutOff { throw cutOff }
      throw IncompleteReadError(partial: buffer.takeAll(), expected: count)
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
  @inlinable
  public func readUntil(_ separator: [UInt8] = [UInt8(ascii: "\n")]) async throws -> [UInt8] {
    var searched = 0
    while true {
      if let bytes = try readUntilNow(separator, &searched) { return bytes }
      try await waitForData("StreamReader.readUntil")
    }
  }

  /// - Parameter searched: where the separator may begin: what comes before was looked at already.
  @usableFromInline
  func readUntilNow(_ separator: [UInt8], _ searched: inout Int) throws -> [UInt8]? {
    guard !separator.isEmpty else {
      throw EventLoopError(.invalidArgument, "readUntil: the separator must not be empty")
    }
    try checkCanRead("StreamReader.readUntil")
    if let index = buffer.firstIndex(of: separator, from: searched) {
      guard index <= limit else { throw LimitOverrunError(consumed: index, isSeparatorFound: true) }
      defer { afterTaking() }
      return buffer.take(index + separator.count)
    }
    searched = Swift.max(0, buffer.count + 1 - separator.count)
    guard searched <= limit else { throw LimitOverrunError(consumed: searched, isSeparatorFound: false) }
    guard hasEnded else { return nil }
    if let cutOff { throw cutOff }
    throw IncompleteReadError(partial: buffer.takeAll(), expected: nil)
  }

  /// Reads a line, with its newline. asyncio's `readline`.
  ///
  /// - Returns: at the end of the stream what is left, maybe nothing.
  /// - Throws: ``LineTooLongError`` for a line beyond the limit, which is dropped; and as ``read(_:)``.
  @inlinable
  public func readLine() async throws -> [UInt8] {
    var searched = 0
    while true {
      if let line = try readLineNow(&searched) { return line }
      try await waitForData("StreamReader.readLine")
    }
  }

  @usableFromInline
  func readLineNow(_ searched: inout Int) throws -> [UInt8]? {
    do {
      return try readUntilNow(newline, &searched)
    } catch let end as IncompleteReadError {
      return end.partial
    } catch let overrun as LimitOverrunError {
      buffer.drop(overrun.isSeparatorFound ? overrun.consumed + 1 : buffer.count)
      afterTaking()
      throw LineTooLongError(limit: limit)
    }
  }

  /// Lends the bytes that are there, and waits until at least so many are: for parsers that copy nothing.
  ///
  /// A closure that needs more bytes than it was lent takes none, and asks for so many the next time: one that asked for no
  /// more would be called again at once.
  ///
  /// - Parameters:
  ///   - count: how many bytes there have to be, at least one.
  ///   - body: gets the bytes and answers how many of the first it has taken. The others stay, and are lent again with what
  ///     comes behind them.
  /// - Returns: false, without a call of the closure, when the stream has ended and nothing is left.
  /// - Throws: what the closure throws, and then nothing is taken; ``IncompleteReadError`` with what there was, when the stream
  ///   ends before there are as many; and as ``read(_:)``.
  @inlinable
  @discardableResult
  public func withBytes(atLeast count: Int = 1, _ body: (Span<UInt8>) throws -> Int) async throws -> Bool {
    while true {
      if let hasBytes = try lendNow(count, body) { return hasBytes }
      try await waitForData("StreamReader.withBytes")
    }
  }

  @usableFromInline
  func lendNow(_ count: Int, _ body: (Span<UInt8>) throws -> Int) throws -> Bool? {
    try checkCanRead("StreamReader.withBytes")
    if buffer.count < Swift.max(1, count) {
      guard hasEnded else { return nil }
      if let cutOff { throw cutOff }
      if buffer.isEmpty { return false }
      throw IncompleteReadError(partial: buffer.takeAll(), expected: count)
    }
    // The closure may feed the reader or read from it, and sees what was there when it was called.
    let lent = buffer
    let taken = try lent.lend(body)
    require(
      taken >= 0 && taken <= lent.count, "StreamReader.withBytes: the closure took \(taken) of \(lent.count) bytes")
    require(taken <= buffer.count, "StreamReader.withBytes: the closure read from the reader that lent it bytes")
    buffer.drop(taken)
    afterTaking()
    return true
  }
}

private let newline = [UInt8(ascii: "\n")]
