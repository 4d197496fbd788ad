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
  var buffer: ReceiveBuffer {
    @inline(__always) _read { yield bufferCell.value }
    @inline(__always) _modify { yield &bufferCell.value }
  }
  /// What reads throw at the end of the stream, where that has come of a dropped writer rather than of the peer.
  // Boxed as any error is: an idle connection keeps the place for it.
  private var cutOff: (any Error)?
  private(set) var failure: (any Error)?
  /// By which the loop's tasks wait for data, one at a time.
  @usableFromInline let waiter = BytesWaiter("StreamReader.read")
  /// The same of a task that is not the loop's own; nil before the first of them.
  private var foreignWaiter: BytesWaiter?
  /// What the task that waits wants.
  private var request = ReadRequest.all
  /// What a read looks for, and how far it has come with that.
  private var separator = newline
  private(set) var searched = 0
  /// The transport, as long as it delivers.
  private var source: (any ReadTransport)?
  private var hasEnded = false
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
    if bytes.count > 0 || hasEnded { arrived(bytes) }
  }

  /// The same for who is on the loop's thread, and has some.
  func arrived(_ bytes: Span<UInt8>) {
    require(!hasEnded, "StreamReader.feedData: called after feedEOF")
    if waiter.isSuspended, case .some(let wanted) = request, bytes.count <= wanted {
      // Whoever waits for whatever comes is given it, without a stop in the buffer, which has nothing.
      return waiter.resume(returning: [UInt8](copying: bytes))
    }
    buffer.append(bytes)
    somethingArrived()
    // Who waits for more than that is to get it.
    if buffer.count > holdLimit, !isAwaited, !isPaused, !collects, let source {
      isPaused = true
      source.pauseReading()
    }
  }

  /// Says that no more will come. asyncio's `feed_eof`.
  public func feedEOF() {
    loop.checkThread("StreamReader.feedEOF")
    hasEnded = true
    somethingArrived()
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
    somethingArrived()
  }

  /// Whether everything was read and no more will come. asyncio's `at_eof`.
  public var atEOF: Bool {
    loop.checkThread("StreamReader.atEOF")
    return hasEnded && buffer.isEmpty
  }

  // MARK: Waiting

  private var isAwaited: Bool { waiter.isSuspended || foreignWaiter?.isSuspended == true }

  private func somethingArrived() {
    if waiter.isSuspended { serve(waiter) } else if let foreignWaiter { serve(foreignWaiter) }
  }

  /// Hands the task that waits what it wants, if that is there. Until then it is not woken.
  private func serve(_ waiter: BytesWaiter) {
    guard waiter.isSuspended else { return }
    do {
      // The end is nothing at all rather than no bytes: an iterator need not look at what it returns.
      if let bytes = try take(request) { waiter.resume(returning: bytes.isEmpty ? nil : bytes) }
    } catch {
      _ = waiter.resume(throwing: error)
    }
  }

  /// Suspends the task until what it wants is there, and that is not now.
  ///
  /// Nothing is left to be done behind the suspension, not even to let go of something: see ``Waiter/suspend(for:as:_:)``. Nor does
  /// anything come in front of it: it follows ``receiveNow(_:_:)`` in one go.
  ///
  /// - Returns: what it wants; nil for no bytes.
  @inlinable
  @inline(__always)
  func receive(_ request: ReadRequest, _ method: StaticString) async throws -> [UInt8]? {
    guard try prepare(request, method) else { return try await receiveAsForeigner(request, method) }
    return try await waiter.suspend()
  }

  /// - Returns: false for a task that is not the loop's own.
  @usableFromInline
  func prepare(_ request: ReadRequest, _ method: StaticString) throws -> Bool {
    guard let owner = try loop.ownerOfWait(method) else { return false }
    self.request = request
    waiter.reuse(for: method)
    waiter.prepare(for: consume owner)
    return true
  }

  /// The same for a task that is not the loop's own. Other code may run before it is suspended.
  @usableFromInline
  func receiveAsForeigner(_ request: ReadRequest, _ method: StaticString) async throws -> [UInt8]? {
    let own = BytesWaiter(method)
    let separator = separator
    return try await loop.whileForeigner(own) {
      try await own.suspend {
        if isAwaited {
          _ = own.resume(throwing: anotherTaskWaits(method))
          return
        }
        foreignWaiter = own
        (self.request, self.separator, searched) = (request, separator, 0)
        serve(own)
        if own.isSuspended { resumeTransport() }
      }
    }
  }

  private func resumeTransport() {
    guard isPaused else { return }
    isPaused = false
    source?.resumeReading()
  }

  // MARK: Reading

  // Each of these first looks whether what it wants is there, without a step that may suspend, and is inlined into programs: a
  // function between them and the wait would cost every wait a frame and a visit to the runtime.

  /// Reads what is there, at most `maxBytes`; waits until something is. asyncio's `read`.
  ///
  /// - Parameter maxBytes: negative, the default, reads everything up to the end of the stream, whatever the limit.
  /// - Returns: no bytes only at the end of the stream, or when none were asked for.
  /// - Throws: `CancellationError`, and then nothing is lost; ``IOError`` when the connection broke;
  ///   ``DroppedWriterError`` at an end that came of the writer's being dropped.
  @inlinable
  public func read(_ maxBytes: Int = -1) async throws -> [UInt8] {
    let request = maxBytes < 0 ? ReadRequest.all : .some(maxBytes)
    if let bytes = try receiveNow(request, "StreamReader.read") { return bytes }
    return try await receive(request, "StreamReader.read") ?? []
  }

  /// Reads exactly so many bytes, whatever the limit. asyncio's `readexactly`.
  ///
  /// - Throws: ``IncompleteReadError`` with what there was, when the stream ends before; ``EventLoopError``
  ///   `.invalidArgument` for a negative count; and as ``read(_:)``.
  @inlinable
  public func readExactly(_ count: Int) async throws -> [UInt8] {
    if let bytes = try receiveNow(.exactly(count), "StreamReader.readExactly") { return bytes }
    return try await receive(.exactly(count), "StreamReader.readExactly") ?? []
  }

  /// Reads up to and with a separator. asyncio's `readuntil`.
  ///
  /// - Throws: ``IncompleteReadError`` with what there was, when the stream ends before; ``LimitOverrunError``, and then
  ///   the bytes stay, when more bytes than the limit come before the separator; ``EventLoopError`` `.invalidArgument`
  ///   for an empty separator; and as ``read(_:)``.
  @inlinable
  public func readUntil(_ separator: [UInt8] = [UInt8(ascii: "\n")]) async throws -> [UInt8] {
    if let bytes = try receiveNow(upTo: separator) { return bytes }
    return try await receive(.upToSeparator, "StreamReader.readUntil") ?? []
  }

  /// Reads a line, with its newline. asyncio's `readline`.
  ///
  /// - Returns: at the end of the stream what is left, maybe nothing.
  /// - Throws: ``LineTooLongError`` for a line beyond the limit, which is dropped; and as ``read(_:)``.
  @inlinable
  public func readLine() async throws -> [UInt8] {
    if let line = try receiveNow(.line, "StreamReader.readLine") { return line }
    return try await receive(.line, "StreamReader.readLine") ?? []
  }

  // MARK: What a read wants

  /// Takes what a read wants; nil where it has to wait for that.
  @usableFromInline
  func receiveNow(_ request: ReadRequest, _ method: StaticString) throws -> [UInt8]? {
    try checkCanRead(method)
    return try look(for: request)
  }

  @usableFromInline
  func receiveNow(upTo separator: [UInt8]) throws -> [UInt8]? {
    guard !separator.isEmpty else {
      throw EventLoopError(.invalidArgument, "readUntil: the separator must not be empty")
    }
    try checkCanRead("StreamReader.readUntil")
    self.separator = separator
    return try look(for: .upToSeparator)
  }

  @inline(__always)
  private func look(for request: ReadRequest) throws -> [UInt8]? {
    if let bytes = try take(request) { return bytes }
    guard isPaused else { return nil }
    // No more would come. What comes at once is looked at: a wait follows without another look.
    resumeTransport()
    return try take(request)
  }

  @inline(__always)
  private func checkCanRead(_ method: StaticString) throws {
    loop.checkThread(method)
    if isAwaited { throw anotherTaskWaits(method) }
    searched = 0
  }

  private func anotherTaskWaits(_ method: StaticString) -> EventLoopError {
    EventLoopError(.invalidState, "\(method): another task is waiting for data of this reader")
  }

  @inline(__always)
  private func take(_ request: ReadRequest) throws -> [UInt8]? {
    if let failure { throw failure }
    // The usual end of it, which is followed by a wait.
    if case .some(let limit) = request, limit > 0, buffer.isEmpty, !hasEnded { return nil }
    defer { afterTaking() }
    return try takeIfThere(request)
  }

  @inline(never)
  private func takeIfThere(_ request: ReadRequest) throws -> [UInt8]? {
    switch request {
    case .some(let limit):
      if limit == 0 { return [] }
      if buffer.isEmpty { return try hasEndedWell() ? [] : nil }
      return buffer.take(limit)
    case .all:
      return try hasEndedWell() ? buffer.takeAll() : nil
    case .exactly(let count):
      guard count >= 0 else { throw EventLoopError(.invalidArgument, "readExactly: the count must not be negative") }
      if buffer.count >= count { return count == 0 ? [] : buffer.take(count) }
      if try hasEndedWell() { throw IncompleteReadError(partial: buffer.takeAll(), expected: count) }
      return nil
    case .upToSeparator:
      return try take(upTo: separator)
    case .line:
      return try takeLine()
    case .atLeast(let count):
      if buffer.count >= Swift.max(1, count) { return [] }
      guard try hasEndedWell() else { return nil }
      if buffer.isEmpty { return [] }
      throw IncompleteReadError(partial: buffer.takeAll(), expected: count)
    }
  }

  private func take(upTo separator: [UInt8]) throws -> [UInt8]? {
    if let index = buffer.firstIndex(of: separator, from: searched) {
      guard index <= limit else { throw LimitOverrunError(consumed: index, isSeparatorFound: true) }
      return buffer.take(index + separator.count)
    }
    searched = Swift.max(0, buffer.count + 1 - separator.count)
    guard searched <= limit else { throw LimitOverrunError(consumed: searched, isSeparatorFound: false) }
    if try hasEndedWell() { throw IncompleteReadError(partial: buffer.takeAll(), expected: nil) }
    return nil
  }

  private func takeLine() throws -> [UInt8]? {
    do {
      return try take(upTo: newline)
    } catch let end as IncompleteReadError {
      return end.partial
    } catch let overrun as LimitOverrunError {
      buffer.drop(overrun.isSeparatorFound ? overrun.consumed + 1 : buffer.count)
      throw LineTooLongError(limit: limit)
    }
  }

  /// Whether no more will come.
  ///
  /// - Throws: where that has come of a dropped writer.
  private func hasEndedWell() throws -> Bool {
    if hasEnded, let cutOff { throw cutOff }
    return hasEnded
  }

  /// Lets the peer go on once little enough is left.
  func afterTaking() {
    if isPaused, buffer.count <= limit { resumeTransport() }
  }
}

private let newline = [UInt8(ascii: "\n")]
