// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// A connected stream of bytes. asyncio's `Transport`.
///
/// It is made by `createConnection` or a server, which hand it to the protocol in `connectionMade`. It belongs to its
/// loop's thread.
public final class StreamTransport: ReadTransport, WriteTransport, SocketTransport {
  let loop: EventLoop
  /// Ours to close, which happens right after `connectionLost`.
  let socket: Socket
  var state = StreamTransportState()
  var buffer = WriteBuffer()
  /// Who is called; nil after `connectionLost`.
  private var receiver: (any StreamProtocol)?
  /// The receiver once more, where it brings its own buffer.
  private(set) var bufferedReceiver: (any BufferedProtocol)?
  /// Encrypts and decrypts; nil on a plain connection, and once the connection is lost.
  var tls: TLSStage?
  /// Whether the protocol was told of the connection, and so has to be told of its end.
  private(set) var wasMade = false
  /// The peer's address, as `accept` or `connect` knew it: a broken connection cannot be asked any more.
  public let remoteAddress: SocketAddress?
  private var cachedLocalAddress: SocketAddress?
  /// Told after `connectionLost`: the server counts its connections. Nil afterwards, since the server refers to this.
  private var onEnd: ((StreamTransport) -> Void)?
  /// Whether a file is on its way, which nothing may be written into.
  var isSendingFile = false
  /// The file transfer, while it waits for the kernel to take more.
  var writeWaiter: Waiter?
  /// Why nothing can be sent any more; nil while something can.
  var brokenSending: BrokenSending?
  /// What was written after the end.
  private var droppedWrites = DroppedWrites()

  init(
    _ loop: EventLoop, _ socket: Socket, remoteAddress: SocketAddress?, onEnd: ((StreamTransport) -> Void)? = nil
  ) {
    self.loop = loop
    self.socket = socket
    self.remoteAddress = remoteAddress
    self.onEnd = onEnd
  }

  /// Ties the protocol to the transport: tells it of the connection, after the handshake of TLS if there is to be one,
  /// then starts to read.
  func start(_ receiver: any StreamProtocol, _ stage: TLSStage? = nil) {
    loop.claim(socket.descriptor, for: self)
    setReceiver(receiver)
    if let stage { beginHandshake(stage) } else { start() }
  }

  func start() {
    wasMade = true
    do {
      try receiver?.connectionMade(self)
    } catch {
      protocolFailed("connectionMade", error)
    }
    state.didStart()
    updateInterest()
  }

  // MARK: Protocol

  /// The protocol that is called now; nil after `connectionLost`. asyncio's `get_protocol`.
  public func getProtocol() -> (any StreamProtocol)? {
    loop.checkThread("StreamTransport.getProtocol")
    return receiver
  }

  /// Has another protocol called from now on, without a `connectionMade`. asyncio's `set_protocol`.
  public func setProtocol(_ newProtocol: any StreamProtocol) {
    loop.checkThread("StreamTransport.setProtocol")
    if receiver != nil { setReceiver(newProtocol) }
  }

  private func setReceiver(_ new: any StreamProtocol) {
    receiver = new
    bufferedReceiver = new as? any BufferedProtocol
  }

  // MARK: Information

  /// The transport's own address; nil where there is none.
  public var localAddress: SocketAddress? {
    loop.checkThread("StreamTransport.localAddress")
    if cachedLocalAddress == nil { cachedLocalAddress = socket.localAddress }
    return cachedLocalAddress
  }

  // MARK: Reading

  public func pauseReading() {
    loop.checkThread("StreamTransport.pauseReading")
    state.pauseReading()
    updateInterest()
  }

  public func resumeReading() {
    loop.checkThread("StreamTransport.resumeReading")
    state.resumeReading()
    if state.hasFailedSending { scheduleRest() } else if let tls { scheduleHeldBytes(tls) }
    updateInterest()
  }

  func read() {
    if let tls {
      readEncrypted(tls)
      return
    }
    if let bufferedReceiver {
      readIntoBuffer(of: bufferedReceiver)
      return
    }
    let count: Int
    do throws(Errno) {
      count = try loop.readBuffer.fill { (target) throws(Errno) in
        try loop.kernel.receive(socket.descriptor, into: &target)
      }
    } catch {
      readFailed(error)
      return
    }
    guard count > 0 else {
      receiveEnd()
      return
    }
    do {
      try loop.readBuffer.withPrefix(count) { try receiver?.dataReceived($0) }
    } catch {
      protocolFailed("dataReceived", error)
    }
  }

  func readFailed(_ error: Errno) {
    if let broken = brokenSending { return end(broken.error) }
    if error == .wouldBlock { return }
    end(IOError(error, "recv", peerName))
  }

  func receiveEnd() {
    // After a reset that a send was told of, a read is told of an end that may be none.
    if let broken = brokenSending, tls == nil { return end(broken.error) }
    state.reachedEnd()
    do {
      // TLS has no half-close: a peer that says goodbye wants no more.
      if try receiver?.eofReceived() == true, tls == nil { updateInterest() } else { close() }
    } catch {
      protocolFailed("eofReceived", error)
    }
  }

  // MARK: Writing

  public func write(_ bytes: Span<UInt8>) {
    guard admitsWrite("StreamTransport.write"), bytes.count > 0 else { return }
    if let tls {
      writeEncrypted(bytes, tls)
      return
    }
    var sent = 0
    // What is buffered goes first.
    if buffer.isEmpty {
      do throws(Errno) {
        sent = try loop.kernel.send(socket.descriptor, bytes)
      } catch {
        if writeFailed(error) { return }
      }
    }
    guard sent < bytes.count else { return }
    buffer.append(bytes.extracting(sent...))
    updateInterest()
    tellFlow()
  }

  /// Sends several chunks, by one system call if the kernel takes them. asyncio's `writelines`.
  public func writeLines(_ lines: [[UInt8]]) {
    guard admitsWrite("StreamTransport.writeLines") else { return }
    if let tls {
      writeLinesEncrypted(lines, tls)
      return
    }
    var sent = 0
    if buffer.isEmpty {
      guard lines.contains(where: { !$0.isEmpty }) else { return }
      do throws(Errno) {
        sent = try loop.kernel.send(socket.descriptor, gathering: lines, skipping: 0)
      } catch {
        if writeFailed(error) { return }
      }
    }
    buffer.append(contentsOf: lines, skipping: sent)
    updateInterest()
    tellFlow()
  }

  public func writeEOF() {
    loop.checkThread("StreamTransport.writeEOF")
    require(
      tls == nil || state.isClosing,
      "StreamTransport.writeEOF(): TLS cannot end one direction alone; see canWriteEOF, or close the connection")
    perform(state.endWriting(hasUnsentBytes: hasUnsentBytes))
  }

  /// Whether bytes that are written now are sent. After the end they are dropped; after `writeEOF`, or into a file that
  /// is being sent, they are an error of the program.
  private func admitsWrite(_ method: StaticString) -> Bool {
    loop.checkThread(method)
    require(!isSendingFile || state.isClosing, "\(method): called while a file is being sent")
    if state.acceptsWrites, !isSendingFile { return true }
    require(state.isClosing, "\(method): called after writeEOF()")
    if droppedWrites.isWorthAWarning() {
      EventLoop.log.warning("what is written to a closed connection (\(peerName)) is dropped")
    }
    return false
  }

  /// Whether a failed send is the end of all sending.
  private func writeFailed(_ error: Errno) -> Bool {
    if error == .wouldBlock { return false }
    sendingFailed(IOError(error, "send", peerName))
    return true
  }

  private func flush() {
    if let tls {
      flushEncrypted(tls)
      return
    }
    let sent: Int
    do throws(Errno) {
      sent = try loop.kernel.send(socket.descriptor, gathering: buffer.front, skipping: buffer.firstOffset)
    } catch {
      _ = writeFailed(error)
      return
    }
    buffer.consume(sent)
    tellFlow()
    // The protocol may have written, or closed, in answer to that.
    lastByteWasSent()
    updateInterest()
  }

  /// Whether the end has to wait: for bytes in the buffer, or those of a file.
  private var hasUnsentBytes: Bool { !buffer.isEmpty || isSendingFile || tls?.wire.pending.isEmpty == false }

  /// Whether there are bytes that the kernel could take.
  var hasBytesForKernel: Bool {
    guard let tls else { return !buffer.isEmpty }
    return !tls.wire.pending.isEmpty || !buffer.isEmpty && !state.isHandshaking
  }

  /// Does what waited for the last byte, once that is out.
  func lastByteWasSent() {
    if !hasUnsentBytes { perform(state.lastByteWasSent()) }
  }

  // MARK: Closing

  public func close() {
    loop.checkThread("StreamTransport.close")
    if let tls, !state.isClosing, hasUnsentBytes { limitShutdown(tls) }
    perform(state.close(hasUnsentBytes: hasUnsentBytes))
    updateInterest()
  }

  public func abort(_ error: (any Error)?) {
    loop.checkThread("StreamTransport.abort")
    end(error)
  }

  func end(_ error: (any Error)?) {
    perform(state.end(), error)
  }

  /// Reports what a protocol's method threw, and closes the connection with it.
  func protocolFailed(_ method: String, _ error: any Error) {
    report(method, error)
    end(error)
  }

  private func report(_ method: String, _ error: any Error) {
    var context = ExceptionContext(message: "error in a protocol's \(method)", error: error)
    context.protocol = receiver
    context.transport = self
    loop.callExceptionHandler(context)
  }

  // MARK: Performing what the state decides

  func perform(_ action: StreamTransportState.Action, _ error: (any Error)? = nil) {
    switch action {
    case .none:
      break
    case .shutDownWriting:
      // A peer that is gone already is noticed by reading.
      try? loop.kernel.shutdownWrite(socket.descriptor)
    case .sendCloseNotify:
      sendCloseNotify()
    case .deliverRest:
      if let error { deliverRest(error) }
    case .end:
      buffer.discard()
      let error = error ?? brokenSending?.error ?? tls?.endError
      brokenSending?.timer?.cancel()
      tls?.end(error ?? IOError(.connectionAbort, "TLS handshake", peerName))
      wakeWriter(.failure(error ?? IOError(.connectionAbort, "sendfile", peerName)))
      updateInterest()
      // After a loop's end there is nobody to call any more.
      if !loop.isClosed { loop.callSoon { self.finish(error) } }
    }
  }

  /// Tells the protocol to pause or to go on, as things stand now. Nothing of it is decided before another call of the
  /// program's code.
  func tellFlow() {
    while true {
      let signal = buffer.nextSignal()
      if signal == .none { return }
      do { try receiver?.tell(signal) } catch { report(signal.method, error) }
      buffer.didTell(signal)
    }
  }

  func updateInterest() {
    guard !loop.isClosed else { return }
    do throws(Errno) {
      var interest = state.interest(hasUnsentBytes: hasBytesForKernel || writeWaiter != nil)
      if !interest.isEmpty { interest.insert(.hangUp) }
      if loop.readiness.watcher(of: socket.descriptor) === self {
        try loop.setInterest(interest, for: socket.descriptor)
      }
    } catch {
      end(IOError(error, "epoll", peerName))
    }
  }

  /// The last call to the protocol; then everything is let go of.
  private func finish(_ error: (any Error)?) {
    if wasMade {
      do { try receiver?.connectionLost(error) } catch { report("connectionLost", error) }
    }
    let onEnd = onEnd
    letGo()
    onEnd?(self)
  }

  private func letGo() {
    // Kept until this object is done changing: a protocol may call back from its deinit.
    let last = receiver
    defer { withExtendedLifetime(last) {} }
    receiver = nil
    bufferedReceiver = nil
    tls?.setTimer(nil)
    tls = nil
    brokenSending?.timer?.cancel()
    brokenSending = nil
    onEnd = nil
    if !loop.isClosed, loop.readiness.watcher(of: socket.descriptor) === self { loop.release(socket.descriptor) }
    // Asked for afterwards too.
    if cachedLocalAddress == nil { cachedLocalAddress = socket.localAddress }
    socket.closeDescriptor()
  }

  var peerName: String { remoteAddress?.description ?? "descriptor \(socket.descriptor.rawValue)" }
}

extension StreamTransport: ReadinessWatcher {
  func descriptorIsReady(_ ready: Interest) {
    // What a program's option had the kernel report: times of sending, for instance. It would wake the loop for ever.
    if ready.contains(.hangUp) { _ = loop.kernel.takeQueuedErrors(socket.descriptor) }
    if ready.contains(.read), state.wantsInput { read() }
    guard ready.contains(.write) else { return }
    if hasBytesForKernel { flush() }
    if !hasBytesForKernel, writeWaiter != nil {
      wakeWriter()
      updateInterest()
    }
  }

  var ownsDescriptor: Bool { !state.hasEnded }

  func loopWasClosed() {
    if loop.debug, !state.hasEnded {
      EventLoop.log.warning("a connection (\(peerName)) was still open when its event loop was closed")
    }
    _ = state.end()
    buffer.discard()
    letGo()
  }
}
