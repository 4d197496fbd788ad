// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// The writing end of a pipe, or of what is written to like one. asyncio's `WriteTransport` of `connect_write_pipe`.
///
/// It is made by `connectWritePipe`, which hands it to the protocol in `connectionMade`. It belongs to its loop's
/// thread. Where a pipe's or a unix socket's reader goes away, `connectionLost` says so without a write; its error is a
/// broken pipe if bytes were still to be sent, and nil otherwise.
public final class WritePipeTransport: WriteTransport, PipeTransport {
  let loop: EventLoop
  let pipe: PipeEnd
  /// A stream's life, without a read side.
  private var state = StreamTransportState()
  private var buffer = WriteBuffer()
  /// Who is called; nil after `connectionLost`.
  private var receiver: (any WritePipeProtocol)?
  /// Told after `connectionLost`, by whoever made the pipe. Nil afterwards, since it may refer to this.
  private var onEnd: ((WritePipeTransport) -> Void)?
  /// What was written after the end.
  private var droppedWrites = DroppedWrites()

  /// Takes over a descriptor, which has to be non-blocking.
  ///
  /// - Parameters:
  ///   - loop: the loop.
  ///   - descriptor: the transport's from now on, closed right after `connectionLost`.
  ///   - kind: what it stands for.
  ///   - restoresFlags: whether `BorrowedBlockingMode` has to give it back before it is closed.
  ///   - original: what the program gave us, where `descriptor` is another one that stands for it; closed with it.
  ///   - onEnd: told after `connectionLost`, when the descriptor is closed.
  init(
    _ loop: EventLoop, _ descriptor: FileDescriptor, kind: FileKind = .pipe, restoresFlags: Bool,
    original: FileDescriptor? = nil, onEnd: ((WritePipeTransport) -> Void)? = nil
  ) {
    self.loop = loop
    self.onEnd = onEnd
    pipe = PipeEnd(loop, descriptor, kind: kind, restoresFlags: restoresFlags, original: original)
  }

  /// Ties the protocol to the transport: tells it of the pipe, then watches for the reader's end.
  func start(_ receiver: any WritePipeProtocol) {
    pipe.claim(for: self)
    self.receiver = receiver
    do {
      try receiver.connectionMade(self)
    } catch {
      report("connectionMade", error)
      end(error)
    }
    state.didStart()
    updateInterest()
  }

  // MARK: Information

  /// The protocol that is called now; nil after `connectionLost`. asyncio's `get_protocol`.
  public func getProtocol() -> (any WritePipeProtocol)? {
    loop.checkThread("WritePipeTransport.getProtocol")
    return receiver
  }

  /// Has another protocol called from now on, without a `connectionMade`. asyncio's `set_protocol`.
  public func setProtocol(_ newProtocol: any WritePipeProtocol) {
    loop.checkThread("WritePipeTransport.setProtocol")
    if receiver != nil { receiver = newProtocol }
  }

  // MARK: Writing

  public var writeBufferSize: Int {
    loop.checkThread("WritePipeTransport.writeBufferSize")
    return buffer.count
  }

  public var writeBufferLimits: (low: Int, high: Int) {
    loop.checkThread("WritePipeTransport.writeBufferLimits")
    return (buffer.low, buffer.high)
  }

  public func setWriteBufferLimits(high: Int? = nil, low: Int? = nil) {
    loop.checkThread("WritePipeTransport.setWriteBufferLimits")
    buffer.setLimits(high: high, low: low)
    tellFlow()
  }

  public func write(_ bytes: Span<UInt8>) {
    guard admitsWrite("WritePipeTransport.write"), bytes.count > 0 else { return }
    var written = 0
    // What is buffered goes first.
    if buffer.isEmpty {
      do throws(Errno) {
        written = try pipe.write(bytes)
      } catch {
        if writeFailed(error) { return }
      }
    }
    guard written < bytes.count else { return }
    buffer.append(bytes.extracting(written...))
    updateInterest()
    tellFlow()
  }

  /// Writes several chunks, by one system call if the kernel takes them. asyncio's `writelines`.
  public func writeLines(_ lines: [[UInt8]]) {
    guard admitsWrite("WritePipeTransport.writeLines"), lines.contains(where: { !$0.isEmpty }) else { return }
    var written = 0
    if buffer.isEmpty {
      do throws(Errno) {
        written = try pipe.write(lines, skipping: 0)
      } catch {
        if writeFailed(error) { return }
      }
    }
    buffer.append(contentsOf: lines, skipping: written)
    updateInterest()
    tellFlow()
  }

  /// Whether bytes that are written now are written out. After the end they are dropped.
  private func admitsWrite(_ method: StaticString) -> Bool {
    loop.checkThread(method)
    if state.acceptsWrites { return true }
    if droppedWrites.isWorthAWarning() {
      EventLoop.log.warning("what is written to a closed pipe (\(pipe.name)) is dropped")
    }
    return false
  }

  /// Whether a failed write was the end of the pipe.
  private func writeFailed(_ error: Errno) -> Bool {
    if error == .wouldBlock { return false }
    end(IOError(error, "write", pipe.name))
    return true
  }

  private func flush() {
    let written: Int
    do throws(Errno) {
      written = try pipe.write(buffer.front, skipping: buffer.firstOffset)
    } catch {
      _ = writeFailed(error)
      return
    }
    buffer.consume(written)
    tellFlow()
    // The protocol may have written, or closed, in answer to that.
    if buffer.isEmpty, state.lastByteWasSent() == .end { didEnd(nil) }
    updateInterest()
  }

  // MARK: Closing

  public var isClosing: Bool {
    loop.checkThread("WritePipeTransport.isClosing")
    return state.isClosing
  }

  public var canWriteEOF: Bool { true }

  /// Closes it once everything is written: a pipe has no other side to keep open. asyncio's `write_eof`.
  public func writeEOF() {
    loop.checkThread("WritePipeTransport.writeEOF")
    close()
  }

  /// Closes it: what is buffered is written, then `connectionLost(nil)` is called. asyncio's `close`.
  public func close() {
    loop.checkThread("WritePipeTransport.close")
    if state.close(hasUnsentBytes: !buffer.isEmpty) == .end { didEnd(nil) }
  }

  public func abort(_ error: (any Error)?) {
    loop.checkThread("WritePipeTransport.abort")
    end(error)
  }

  private func end(_ error: (any Error)?) {
    if state.end() == .end { didEnd(error) }
  }

  private func didEnd(_ error: (any Error)?) {
    buffer.discard()
    updateInterest()
    // After a loop's end there is nobody to call any more.
    if !loop.isClosed { loop.callSoon { self.finish(error) } }
  }

  private func report(_ method: String, _ error: any Error) {
    var context = ExceptionContext(message: "error in a protocol's \(method)", error: error)
    context.protocol = receiver
    context.transport = self
    loop.callExceptionHandler(context)
  }

  /// Tells the protocol to pause or to go on, as things stand now. Nothing of it is decided before another call of the
  /// program's code.
  private func tellFlow() {
    while true {
      let signal = buffer.nextSignal()
      if signal == .none { return }
      do { try receiver?.tell(signal) } catch { report(signal.method, error) }
      buffer.didTell(signal)
    }
  }

  /// A pipe is watched for its reader's end at all times. A terminal is not: its other side may come back. But while
  /// bytes wait, its hang-up has to be seen too, since it counts as room for bytes that there is not.
  private func updateInterest() {
    var interest = state.interest(hasUnsentBytes: !buffer.isEmpty).intersection(.write)
    if !interest.isEmpty || (pipe.kind != .characterDevice && !state.hasEnded) { interest.insert(.hangUp) }
    do throws(Errno) {
      try pipe.setInterest(interest)
    } catch {
      end(IOError(error, "epoll", pipe.name))
    }
  }

  /// The last call to the protocol; then everything is let go of.
  private func finish(_ error: (any Error)?) {
    do { try receiver?.connectionLost(error) } catch { report("connectionLost", error) }
    let onEnd = onEnd
    letGo()
    onEnd?(self)
  }

  private func letGo() {
    // Kept until this object is done changing: a protocol may call back from its deinit.
    let last = receiver
    defer { withExtendedLifetime(last) {} }
    receiver = nil
    onEnd = nil
    pipe.close()
  }
}

extension WritePipeTransport: ReadinessWatcher {
  func descriptorIsReady(_ ready: Interest) {
    if ready.contains(.hangUp) {
      readerIsGone()
    } else if ready.contains(.write), !buffer.isEmpty {
      flush()
    }
  }

  private func readerIsGone() {
    end(buffer.isEmpty ? nil : IOError(.brokenPipe, "write", pipe.name))
  }

  var ownsDescriptor: Bool { !state.hasEnded }

  func loopWasClosed() {
    if loop.debug, !state.hasEnded {
      EventLoop.log.warning("a write pipe (\(pipe.name)) was still open when its event loop was closed")
    }
    _ = state.end()
    buffer.discard()
    letGo()
  }
}
