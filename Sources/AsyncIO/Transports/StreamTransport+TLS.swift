// SPDX-License-Identifier: Apache-2.0
import SystemPackage

// TLS on a stream transport: the handshake, what an engine wants sent, and the close. Beside this, TLSReading and
// TLSWriting.
//
// Encryption is a stage between the socket and the rest of the transport: the engine receives for the protocol, and what
// is written passes through it on its way to the kernel. Plaintext waits in the backlog, encrypted bytes in the stage's
// `wire`; the first only as long as the second has some, or a handshake goes on, so that small writes to a slow peer
// share records.

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
        stage.end(brokenSending?.error ?? IOError(.connectionAbort, "TLS handshake", name))
        return
      }
      stage.engine = StackedTLSEngine(
        stage.engine, over: below.engine, received: received,
        acceptsTruncation: stage.provider.insecurelyAcceptsTruncation)
      // The lower engine's bytes are still to be decrypted by it: they go to the stack, whose lower part it is.
      stage.wire.takeOver(below.wire)
      stage.encryptedCount = below.encryptedCount
    } else {
      stage.wire.prepend(received)
      stage.encryptedCount = unsentSize
      if let backlog { stage.wire.pending.append(contentsOf: backlog.bytes.takeAll()) }
      discardUnsent()
    }
    tls = stage
    perform(state.beginHandshake())
    stage.setTimer(
      loop.callLater(stage.handshakeTimeout) { [self] in
        let limit = "\(name) (the handshake took longer than \(stage.handshakeTimeout))"
        handshakeFailed(IOError(.connectionAbort, "TLS handshake", limit))
        settle()
      })
    continueHandshake(stage)
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
    let isDone: Bool
    do {
      // A flight may be several records.
      stage.wire.beginJoining(&memory.outgoingCiphertext)
      defer { stage.wire.endJoining(&memory.outgoingCiphertext) }
      isDone = try stage.engine.handshake(over: stage.wire)
    } catch {
      handshakeFailed(error.with(name))
      return
    }
    guard isDone, stage.wire.sendFailure == nil || stage.isDoneForPeer else {
      noteSending(stage)
      if state.isHandshaking, let end = stage.wire.end { streamEnded(end, stage) }
      return
    }
    stage.isAgreed = true
    // Its own last word, and then what was written meanwhile.
    perform(state.endHandshake())
    stage.finishHandshake(.success(()))
    noteSending(stage)
    flushEncrypted(stage)
    deliver(stage)
  }

  /// The stream has ended, or a system call has failed, before the handshake was done: which of them it is that shows
  /// a peer that went away is a matter of moments.
  func handshakeBroke(_ error: (any Error)?) {
    var code = (error as? IOError)?.code ?? .connectionReset
    if code == .brokenPipe { code = .connectionReset }
    handshakeFailed(IOError(code, "TLS handshake", name))
  }

  /// Ends a connection that is not encrypted yet.
  func handshakeFailed(_ error: any Error) {
    guard let stage = tls, state.isHandshaking else { return }
    // A server's peer that goes away before it has said anything is no news.
    let isNews = (error as? IOError).map { $0.code == .connectionAbort } ?? true
    if !stage.isAwaited, isNews { report("the TLS handshake of a connection failed", error) }
    end(error)
    stage.finishHandshake(.failure(error))
  }

  /// After a call of the engine: what became of what it wanted sent.
  @inline(__always)
  func noteSending(_ stage: TLSStage) {
    if let error = stage.wire.sendFailure { sendingFailed(IOError(error, endpoint.calls.send.description, name)) }
  }

  // MARK: Closing

  func sendCloseNotify() {
    guard let stage = tls else { return }
    // However long the rest took: from here on the peer has all its time.
    limitShutdown(stage)
    stage.receiveLimit = stage.wire.receivedCount + TLSStage.lateLimit
    stage.engine.close(over: stage.wire)
    noteSending(stage)
    // The peer's last word may be among what nobody wanted.
    discard(stage)
    lastByteWasSent()
  }

  /// Ends a close that makes no progress for as long as the limit is.
  func limitShutdown(_ stage: TLSStage) {
    let sentBefore = stage.wire.sentCount
    stage.setTimer(
      loop.callLater(stage.shutdownTimeout) { [self] in
        guard !state.hasEnded else { return }
        defer { settle() }
        if !state.hasSaidGoodbye, stage.wire.sentCount > sentBefore { return limitShutdown(stage) }
        let limit = "\(name) (the peer took longer than \(stage.shutdownTimeout))"
        end(state.wasCutShort ? nil : IOError(.timedOut, "TLS shutdown", limit))
      })
  }
}

extension ExtraInfoKey where Value == TLSInfo {
  /// What was agreed on in the TLS handshake; nil on a connection that is not encrypted.
  public static var tls: Self {
    Self(ofStream: { $0.tls?.info })
  }
}

extension ExtraInfoKey where Value == any TLSProvider {
  /// The `tls:` argument of an encrypted connection. asyncio's `sslcontext`.
  public static var tlsContext: Self { Self(ofStream: { $0.tls?.provider }) }
}
