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
  /// Those of the server that has accepted it, while it is one of them.
  var connections: ConnectionTable?

  /// - Parameter isShared: whether the program has the socket too. Else the object is not kept: an idle connection would pay for it.
  init(_ loop: EventLoop, _ socket: Socket, isShared: Bool = true, remoteAddress: SocketAddress?) {
    super.init(loop, OwnedDescriptor(socket, loop.kernel, remoteAddress: remoteAddress), isShared ? socket : nil)
  }

  /// The file that is on its way, which nothing may be written into.
  var fileTransfer: FileTransfer? { rarities?.fileTransfer }
  var isSendingFile: Bool { fileTransfer != nil }
  /// Why nothing can be sent any more, for `connectionLost`; nil while something can.
  var brokenSending: (any Error)? { rarities?.brokenSending }

  /// Ties the protocol to the transport; with TLS it is told of that after the handshake.
  func start(_ receiver: any StreamProtocol, _ stage: TLSStage?) {
    guard let stage else { return start(receiver) }
    claimDescriptor()
    setReceiver(receiver)
    beginHandshake(stage)
  }

  // MARK: What makes it a connection

  override class var titles: (noun: String, title: String) { ("connection", "connection with") }

  override func setReceiver(_ new: (any StreamProtocol)?) {
    super.setReceiver(new)
    // What is drained has nobody to go to.
    taker = state.dropsInput ? nil : new
    bufferedReceiver = taker as? any BufferedProtocol
  }

  /// The peer may have to be rid of what it sends before it reads what we still have to send.
  override var drainsWhileClosing: Bool { true }

  override func tellMade(_ receiver: any StreamProtocol) throws { try receiver.connectionMade(self) }

  /// TLS has no half-close: a peer that says goodbye wants no more.
  override func tellEOF() throws -> Bool { try receiver?.eofReceived() == true && tls == nil }

  /// For bytes in the buffer, or those of a file.
  override var hasUnsentBytes: Bool { backlog != nil || isSendingFile || tls?.wire.pending.isEmpty == false }

  override var unsentSize: Int { super.unsentSize + (tls?.encryptedCount ?? 0) }

  override func discardUnsent() {
    super.discardUnsent()
    tls?.discardUnsent()
  }

  /// Whether the kernel has all that it can be given now.
  var isFlushed: Bool {
    guard let tls else { return backlog == nil }
    return tls.wire.pending.isEmpty && (backlog == nil || state.isHandshaking)
  }

  override var hasBytesForKernel: Bool {
    // As it is of most connections most of the time.
    if tls == nil, rarities == nil { return false }
    return !isFlushed || fileTransfer?.waiter != nil
  }

  /// What a program's option had the kernel report: times of sending, for instance. It would wake the loop for ever.
  override func hungUp() { _ = loop.kernel.takeQueuedErrors(own.descriptor) }

  // MARK: Reading

  override func read() {
    guard let tls else { return receive() }
    tls.wire.allowReceiving()
    state.bytesArrived()
    takeArrived()
  }

  /// Does what can be done with what has arrived over TLS. What nobody wants yet stays where it is.
  func takeArrived() {
    // The program may begin another handshake meanwhile.
    while let step = state.step, let stage = tls {
      switch step {
      case .handshake: continueHandshake(stage)
      case .deliver: decrypt(stage, for: bufferedReceiver)
      case .discard: discard(stage)
      case .end: streamEnded(stage)
      case .endOfRest: end(brokenSending)
      }
    }
  }

  /// Decrypts into the protocol's own buffer, if it brings one, and tells it.
  private func decrypt(_ stage: TLSStage, for receiver: (any BufferedProtocol)?) {
    let outcome = fill(receiver) { (target) throws(TLSError) in
      try stage.engine.decrypt(from: stage.wire, into: &target)
    }
    switch outcome {
    case .failure(let error): end(error.with(name))
    case .success(let step):
      let action = state.decrypted(step.next, stage.wire.takeReport(), hasUnsentBytes: hasUnsentBytes)
      noteSending(stage)
      // An end comes without bytes.
      if step.count > 0 { handOver(step.count, to: receiver) } else { perform(action) }
    case nil: break
    }
  }

  // MARK: After a send that failed
  //
  // A peer that goes away, or a network that does, is as a rule noticed by a send: a reset takes what was to be sent, and
  // leaves what had arrived where it is, in the kernel and in the engine of TLS. That was sent in good faith, and the
  // program is given it before it is told of the end, in turns that others share. There is nothing to wait for: the first
  // receive that finds nothing is the end.

  /// How long what has arrived waits for a program that has paused reading. Without a limit, one that only writes, and
  /// has paused for good, would never hear of the end.
  static let pauseLimit = Duration.seconds(20)

  override func takeTurn() {
    guard state.hasFailedSending else { return takeArrived() }
    // Every pause has its own time.
    cancelTimer()
    guard state.isReading else { return waitForReader() }
    read()
    if state.hasFailedSending { scheduleTurn() }
  }

  /// Reading is paused: what waits for it decides whether the end has to wait as well.
  private func waitForReader() {
    guard state.holdsSomething || loop.kernel.hasUnreadBytes(own.descriptor) else { return end(brokenSending) }
    setTimer(StreamTransport.pauseLimit) { [self] in perform(state.limitReached(madeProgress: false)) }
    // Nothing is buffered any more. Whoever waits for that may be who has to go on reading.
    tellFlow()
  }

  // MARK: Writing

  public override func write(_ bytes: Span<UInt8>) {
    guard admitsWrite("write"), bytes.count > 0 else { return }
    if let tls { writeEncrypted(bytes, tls) } else { send(bytes) }
  }

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

  @inline(__always)
  override func accepts(_ method: StaticString) -> Bool {
    state.acceptsWrites && !isSendingFile || refuses(method)
  }

  /// After `writeEOF`, and into a file that is being sent, bytes are an error of the program.
  @inline(never)
  private func refuses(_ method: StaticString) -> Bool {
    require(!isSendingFile || state.isClosing, "StreamTransport.\(method): called while a file is being sent")
    require(state.isClosing, "StreamTransport.\(method): called after writeEOF()")
    return false
  }

  override func flush() {
    if let tls { flushEncrypted(tls) } else { super.flush() }
    if isFlushed { wakeFileTransfer(.success(())) }
  }

  private func wakeFileTransfer(_ result: Result<Void, any Error>) {
    fileTransfer?.waiter.take()?.resume(result)
  }

  override func sendingFailed(_ error: IOError) { perform(state.sendingFailed(), error) }

  // MARK: What the state has decided

  override func perform(_ action: TransportState.Action, _ error: (any Error)? = nil) {
    switch action {
    case .begin: begin()
    case .shutDownWriting:
      // A peer that is gone already is noticed by reading.
      try? loop.kernel.shutdownWrite(own.descriptor)
    case .sendCloseNotify: sendCloseNotify()
    case .limitClose: limitClose()
    case .forgetReceiver: setReceiver(receiver)
    case .deliverRest:
      makeRarities().brokenSending = error
      discardUnsent()
      if let error { wakeFileTransfer(.failure(error)) }
      scheduleTurn()
    case .failHandshake: handshakeBroke(error)
    case .refuseFlood:
      end(IOError(.connectionAbort, "TLS shutdown", "\(name) (the peer went on sending after the close)"))
    case .endWell: perform(.end)
    case .end:
      let error = error ?? brokenSending ?? (state.wasCutShort ? TLSError.truncated.with(name) : nil)
      tls?.end(error ?? IOError(.connectionAbort, "TLS handshake", name))
      if isSendingFile { wakeFileTransfer(.failure(error ?? IOError(.connectionAbort, "sendfile", name))) }
      super.perform(action, error)
    case .none, .deliverSoon, .tellEnd, .trap:
      super.perform(action)
    }
  }

  override func tellLost(_ error: (any Error)?) {
    let connections = connections
    super.tellLost(error)
    connections?.remove(self)
  }

  override func release() {
    tls = nil
    rarities?.brokenSending = nil
    connections = nil
    super.release()
  }
}

extension StreamTransport: ByteReceiving {
  @inline(__always)
  func deliver(_ bytes: Span<UInt8>) throws {
    // Moved out and back rather than referred to twice. Where it is replaced meanwhile, another has taken its place.
    guard let taker = taker.take() else { return }
    defer { if self.taker == nil, !state.dropsInput { self.taker = taker } }
    try taker.dataReceived(bytes)
  }

  /// After a send that failed, that was the reason.
  func receivingFailed(_ error: IOError) { end(brokenSending ?? error) }
}
