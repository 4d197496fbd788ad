// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A connected stream of bytes. asyncio's `Transport`.
///
/// It is made by `createConnection` or a server, which hand it to the protocol in `connectionMade`. It belongs to its
/// loop's thread.
public final class StreamTransport: WritingTransport<any StreamProtocol>, ReadTransport, SocketTransport {
  /// The receiver once more, for every event: the generic superclass's costs a check of overlapping accesses each time.
  private var taker: (any StreamProtocol)?
  /// And where it brings its own buffer.
  private(set) var bufferedReceiver: (any BufferedProtocol)?
  /// Encrypts and decrypts; nil on a plain connection, and once the connection is lost.
  var tls: TLSStage?
  /// Whether a file is on its way, which nothing may be written into.
  var isSendingFile = false
  /// The file transfer, while it waits for the kernel to take more.
  var writeWaiter: Waiter?
  /// Why nothing can be sent any more; nil while something can.
  var brokenSending: BrokenSending?
  /// Whether a turn is scheduled in which what is held is delivered.
  var isDeliveryScheduled = false

  init(
    _ loop: EventLoop, _ socket: Socket, remoteAddress: SocketAddress?, onEnd: ((DescriptorTransport) -> Void)? = nil
  ) {
    super.init(loop, .socket(.init(socket: socket, remoteAddress: remoteAddress)), onEnd: onEnd)
  }

  /// Ties the protocol to the transport; with TLS it is told of that after the handshake.
  func start(_ receiver: any StreamProtocol, _ stage: TLSStage?) {
    guard let stage else { return start(receiver) }
    claimDescriptor()
    setReceiver(receiver)
    beginHandshake(stage)
  }

  // MARK: What makes it a connection

  override class var titles: (noun: String, title: String) { ("connection", "connection with") }

  override func setReceiver(_ new: any StreamProtocol) {
    super.setReceiver(new)
    if state.dropsInput { return }
    taker = new
    bufferedReceiver = new as? any BufferedProtocol
  }

  /// The peer may have to be rid of what it sends before it reads what we still have to send.
  override var drainsWhileClosing: Bool { true }

  override func tellMade(_ receiver: any StreamProtocol) throws { try receiver.connectionMade(self) }

  /// For bytes in the buffer, or those of a file.
  override var hasUnsentBytes: Bool { backlog != nil || isSendingFile || tls?.wire.pending.isEmpty == false }

  override var unsentSize: Int { super.unsentSize + (tls?.encryptedCount ?? 0) }

  override func discardUnsent() {
    super.discardUnsent()
    tls?.discardUnsent()
  }

  override var hasBytesForKernel: Bool {
    guard let tls else { return backlog != nil }
    return !tls.wire.pending.isEmpty || backlog != nil && !state.isHandshaking
  }

  override var wantedInterest: Interest {
    var interest = state.interest(hasUnsentBytes: hasBytesForKernel || writeWaiter != nil)
    if !interest.isEmpty { interest.insert(.hangUp) }
    return interest
  }

  override func serve(_ ready: Interest) {
    // What a program's option had the kernel report: times of sending, for instance. It would wake the loop for ever.
    if ready.contains(.hangUp) { _ = loop.kernel.takeQueuedErrors(descriptor) }
    if ready.contains(.read), state.wantsInput { read() }
    guard ready.contains(.write) else { return }
    if hasBytesForKernel { if let tls { flushEncrypted(tls) } else { flush() } }
    if !hasBytesForKernel { wakeWriter() }
  }

  // MARK: Reading

  override func readingWasResumed() {
    if state.hasFailedSending || state.isDelivering && tls?.hasHeldBytes == true { scheduleDelivery() }
  }

  func read() {
    if let tls { return readEncrypted(tls) }
    if let bufferedReceiver { return readIntoBuffer(of: bufferedReceiver) }
    receive()
  }

  // MARK: Writing

  public override func write(_ bytes: Span<UInt8>) {
    guard admitsWrite("write"), bytes.count > 0 else { return }
    if let tls { writeEncrypted(bytes, tls) } else { send(bytes) }
  }

  /// Sends several chunks, by one system call if the kernel takes them. asyncio's `writelines`.
  public override func writeLines(_ lines: [[UInt8]]) {
    guard admitsWrite("writeLines"), lines.contains(where: { !$0.isEmpty }) else { return }
    if let tls { writeLinesEncrypted(lines, tls) } else { send(lines) }
  }

  /// Whether ``writeEOF()`` is of use: not over TLS, which has no half-close.
  public override var canWriteEOF: Bool {
    check("canWriteEOF")
    return tls == nil
  }

  public override func writeEOF() {
    check("writeEOF")
    perform(state.endWriting(hasUnsentBytes: hasUnsentBytes))
    settle()
  }

  /// After `writeEOF`, and into a file that is being sent, bytes are an error of the program.
  override func accepts(_ method: StaticString) -> Bool {
    require(!isSendingFile || state.isClosing, "StreamTransport.\(method): called while a file is being sent")
    if state.acceptsWrites, !isSendingFile { return true }
    require(state.isClosing, "StreamTransport.\(method): called after writeEOF()")
    return false
  }

  override func sendingFailed(_ error: IOError) {
    perform(state.sendingFailed(), error)
  }

  // MARK: Closing

  public override func close() {
    check("close")
    if let tls, !state.isClosing, hasUnsentBytes { limitShutdown(tls) }
    super.close()
    // What is drained has nobody to go to.
    if state.dropsInput {
      taker = nil
      bufferedReceiver = nil
    }
  }

  override func perform(_ action: TransportState.Action, _ error: (any Error)? = nil) {
    switch action {
    case .none:
      break
    case .shutDownWriting:
      // A peer that is gone already is noticed by reading.
      try? loop.kernel.shutdownWrite(descriptor)
    case .sendCloseNotify:
      sendCloseNotify()
    case .deliverRest:
      if let error { deliverRest(error) }
    case .failHandshake:
      handshakeBroke(error)
    case .begin:
      begin()
    case .tellEnd:
      tellEnd()
    case .trap:
      super.perform(action)
    case .endWell:
      perform(.end)
    case .end:
      let error = error ?? brokenSending?.error ?? (state.wasCutShort ? TLSError.truncated.with(name) : nil)
      brokenSending?.timer?.cancel()
      tls?.end(error ?? IOError(.connectionAbort, "TLS handshake", name))
      wakeWriter(.failure(error ?? IOError(.connectionAbort, "sendfile", name)))
      super.perform(action, error)
    }
  }

  override func letGo() {
    taker = nil
    bufferedReceiver = nil
    tls?.setTimer(nil)
    tls = nil
    brokenSending?.timer?.cancel()
    brokenSending = nil
    super.letGo()
  }
}

extension StreamTransport: ByteReceiving {
  @inline(__always)
  func deliver(_ bytes: Span<UInt8>) throws { try taker?.dataReceived(bytes) }

  func receivingFailed(_ error: Errno) {
    if let broken = brokenSending { return end(broken.error) }
    if error != .wouldBlock { end(IOError(error, endpoint.calls.receive.description, name)) }
  }

  func receiveEnd() {
    // After a reset that a send was told of, a read is told of an end that may be none.
    if let broken = brokenSending, tls == nil { return end(broken.error) }
    perform(state.peerEnded())
    // The peer's answer to our close may be all that was missing.
    if state.hasSaidGoodbye { lastByteWasSent() }
  }

  private func tellEnd() {
    do {
      // TLS has no half-close: a peer that says goodbye wants no more.
      let staysOpen = try receiver?.eofReceived() == true && tls == nil
      if !staysOpen { close() }
    } catch {
      protocolFailed("eofReceived", error)
    }
  }
}
