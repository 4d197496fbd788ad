// SPDX-License-Identifier: Apache-2.0
import SystemPackage

// TLS on a stream transport. Encryption is a stage between the socket and the rest of the transport: the engine receives
// for the protocol, and what is written passes through it on its way to the kernel. Plaintext waits in the backlog,
// encrypted bytes in the stage's `wire`; the first only as long as the second has some, or a handshake goes on, so that
// small writes to a slow peer share records. What comes next, the transport's state knows.

extension StreamTransport {
  // MARK: Handshake

  /// Begins the handshake, on a connection that is new or open, with what was received of it already.
  func beginHandshake(_ stage: TLSStage, received: [UInt8] = []) {
    defer { settle() }
    // What was written before goes out as it was meant to.
    if let below = tls {
      encryptBuffer(below, chunks: .max, stopsWhenBlocked: false)
      guard state.canSend else {
        // Without a handshake there is nobody whom what has arrived could be for.
        end(nil)
        tls = stage
        stage.end(brokenSending ?? IOError(.connectionAbort, "TLS handshake", name))
        return
      }
      stage.stack(on: below, received: received)
    } else {
      stage.wire.prepend(received)
      stage.encryptedCount = unsentSize
      if let backlog { stage.wire.pending.append(contentsOf: backlog.bytes.takeAll()) }
      discardUnsent()
    }
    tls = stage
    perform(state.beginHandshake())
    setTimer(stage.handshakeTimeout) { [self] in
      let limit = "\(name) (the handshake took longer than \(stage.handshakeTimeout))"
      handshakeFailed(IOError(.connectionAbort, "TLS handshake", limit))
    }
    takeArrived()
  }

  /// Suspends the task until the handshake is done. When the task is cancelled, the connection is dropped.
  func waitForHandshake(_ operation: StaticString) async throws {
    guard let stage = tls else { return }
    do {
      while stage.outcome == nil {
        try await loop.wait(operation) { waiter in
          if stage.outcome == nil { stage.waiter = waiter } else { waiter.resume() }
        }
      }
    } catch {
      // Also when the handshake was done between the cancellation and here: the caller is given no connection.
      stage.waiter = nil
      abort()
      throw error
    }
    try stage.outcome?.get()
  }

  func continueHandshake(_ stage: TLSStage) {
    var isDone: Bool
    do {
      // A flight may be several records.
      stage.wire.beginJoining(&memory.outgoingCiphertext)
      defer { stage.wire.endJoining(&memory.outgoingCiphertext) }
      isDone = try stage.engine.handshake(over: stage.wire)
    } catch {
      handshakeFailed(error.with(name))
      return
    }
    if stage.wire.sendFailure != nil, !stage.isDoneForPeer { isDone = false }
    if isDone { cancelTimer() }
    // Its own last word, and then what was written meanwhile.
    perform(state.handshakeWentOn(isDone: isDone, stage.wire.takeReport()))
    if isDone { stage.finishHandshake(.success(())) }
    noteSending(stage)
    if isDone { flushEncrypted(stage) }
  }

  /// The stream has ended, or a system call has failed, before the handshake was done: which of them it is that shows
  /// a peer that went away is a matter of moments.
  func handshakeBroke(_ error: (any Error)?) {
    var code = (error as? IOError)?.code ?? .connectionReset
    if code == .brokenPipe { code = .connectionReset }
    handshakeFailed(IOError(code, "TLS handshake", name))
  }

  /// Ends a connection that is not encrypted yet.
  private func handshakeFailed(_ error: any Error) {
    guard let stage = tls, state.isHandshaking else { return }
    // A server's peer that goes away before it has said anything is no news.
    let isNews = (error as? IOError).map { $0.code == .connectionAbort } ?? true
    if !stage.isAwaited, isNews { report("the TLS handshake of a connection failed", error) }
    end(error)
  }

  // MARK: Writing

  /// After a call of the engine: what became of what it wanted sent.
  @inline(__always)
  func noteSending(_ stage: TLSStage) {
    if let error = stage.wire.sendFailure { sendingFailed(sendError(error)) }
  }

  func writeEncrypted(_ bytes: Span<UInt8>, _ stage: TLSStage) {
    defer { settle() }
    var done = 0
    while done < bytes.count, mayEncrypt(stage) {
      let part = bytes.extracting(done..<min(bytes.count, done + TLSStage.chunk))
      guard encrypt(part, stage) else { return }
      done += part.count
    }
    keep(bytes.extracting(done...))
    tellFlow()
  }

  func writeLinesEncrypted(_ lines: [[UInt8]], _ stage: TLSStage) {
    defer { settle() }
    let mayGo = mayEncrypt(stage)
    // All of them first, so that small ones share a record.
    keep(lines)
    if mayGo { encryptBuffer(stage, chunks: .max) }
    if state.canSend { tellFlow() }
  }

  /// Whether nothing waits, so that bytes can go out at once.
  private func mayEncrypt(_ stage: TLSStage) -> Bool {
    backlog == nil && stage.wire.pending.isEmpty && !state.isHandshaking
  }

  /// Encrypts and sends. What takes several records goes out by one system call.
  ///
  /// - Returns: whether more may be sent.
  private func encrypt(_ bytes: Span<UInt8>, _ stage: TLSStage) -> Bool {
    if bytes.count > TLSStage.recordLimit { stage.wire.beginJoining(&memory.outgoingCiphertext) }
    do throws(TLSError) {
      defer { stage.wire.endJoining(&memory.outgoingCiphertext) }
      try stage.engine.encrypt(bytes, to: stage.wire)
    } catch {
      end(error.with(name))
      return false
    }
    noteSending(stage)
    guard state.canSend else { return false }
    stage.encryptedCount = stage.wire.pending.isEmpty ? 0 : stage.encryptedCount + bytes.count
    return true
  }

  /// Encrypts and sends what is buffered.
  private func encryptBuffer(_ stage: TLSStage, chunks: Int, stopsWhenBlocked: Bool = true) {
    var left = chunks
    while left > 0, let backlog, stage.wire.pending.isEmpty || !stopsWhenBlocked {
      left -= 1
      var count = 0
      backlog.bytes.withFront(TLSStage.chunk, gathering: &memory.gatheredPlaintext) { part in
        if encrypt(part, stage) { count = part.count }
      }
      if count == 0 { return }
      dropKept(count)
    }
  }

  func flushEncrypted(_ stage: TLSStage) {
    stage.wire.flush()
    noteSending(stage)
    guard state.canSend else { return }
    stage.encryptedCount = min(stage.encryptedCount, stage.wire.pending.count)
    if !state.isHandshaking { encryptBuffer(stage, chunks: TLSStage.chunksPerTurn) }
    guard state.canSend else { return }
    tellFlow()
    // The protocol may have written, or closed, in answer to that.
    lastByteWasSent()
  }

  // MARK: Closing

  func sendCloseNotify() {
    guard let stage = tls else { return }
    // However long the rest took: from here on the peer has all its time.
    limitClose()
    _ = stage.wire.takeReport()
    stage.engine.close(over: stage.wire)
    noteSending(stage)
    takeArrived()
    lastByteWasSent()
  }

  /// Ends a close that makes no progress for as long as the limit is.
  func limitClose() {
    guard let stage = tls else { return }
    let sentBefore = stage.wire.sentCount
    setTimer(stage.shutdownTimeout) { [self] in
      let limit = "\(name) (the peer took longer than \(stage.shutdownTimeout))"
      let action = state.limitReached(madeProgress: stage.wire.sentCount > sentBefore)
      perform(action, IOError(.timedOut, "TLS shutdown", limit))
    }
  }

  /// Looks for the peer's close_notify only: the connection was closed.
  func discard(_ stage: TLSStage) {
    do throws(TLSError) {
      // Not where a protocol may be looking at what it was given.
      let step = try memory.discardedBytes.withMutableSpan { (target) throws(TLSError) in
        try stage.engine.decrypt(from: stage.wire, into: &target)
      }
      perform(state.decrypted(step.next, stage.wire.takeReport(), hasUnsentBytes: hasUnsentBytes))
    } catch {
      end(nil)
    }
  }

  /// The socket's stream has ended, without the peer's close_notify.
  func streamEnded(_ stage: TLSStage) {
    var error = brokenSending
    if error == nil, case .failure(let code) = stage.wire.end {
      error = IOError(code, own.calls.receive, name)
    }
    let isEnough = stage.provider.insecurelyAcceptsTruncation
    perform(state.streamEnded(isEnough: isEnough, hasUnsentBytes: hasUnsentBytes), error)
  }
}

extension ExtraInfoKey where Value == TLSInfo {
  /// What was agreed on in the TLS handshake; nil on a connection that is not encrypted.
  public static var tls: Self { Self(ofStream: { $0.state.isHandshaking ? nil : $0.tls?.info }) }
}

extension ExtraInfoKey where Value == any TLSProvider {
  /// The `tls:` argument of an encrypted connection. asyncio's `sslcontext`.
  public static var tlsContext: Self { Self(ofStream: { $0.tls?.provider }) }
}
