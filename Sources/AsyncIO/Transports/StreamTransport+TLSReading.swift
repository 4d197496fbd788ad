// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  func readEncrypted(_ stage: TLSStage) {
    stage.wire.allowReceiving()
    if state.isHandshaking {
      continueHandshake(stage)
    } else if state.isAwaitingPeer {
      discard(stage)
    } else {
      deliver(stage)
    }
  }

  /// Decrypts, and tells the protocol, as long as it wants to hear. What it does not want yet stays where it is.
  func deliver(_ stage: TLSStage) {
    stage.hasPlaintext = true
    while state.isDelivering, stage.hasPlaintext {
      // Whose buffer is filled is told of it, also if it has itself replaced meanwhile.
      let buffered = bufferedReceiver
      let outcome: Result<TLSDecryption, TLSError>
      do {
        outcome = try decrypt(stage, for: buffered)
      } catch {
        protocolFailed("withBuffer", error)
        return
      }
      guard case .success(let step) = outcome else {
        if case .failure(let error) = outcome { end(error.with(name)) }
        return
      }
      noteSending(stage)
      // Before the protocol is told: it may pause, and resume.
      stage.hasPlaintext = step.next != .receive
      if step.count > 0 { tell(buffered, step.count) }
      if step.next == .end {
        stage.hasPlaintext = false
        receiveEnd()
        return
      }
    }
    // Behind everything that came before it, and only to a protocol that still wants to hear.
    if state.isDelivering, !stage.hasPlaintext, let end = stage.wire.end { streamEnded(end, stage) }
  }

  /// What the engine has for the protocol, in the protocol's own buffer if it brings one.
  ///
  /// - Throws: what the protocol throws.
  private func decrypt(
    _ stage: TLSStage, for receiver: (any BufferedProtocol)?
  ) throws -> Result<TLSDecryption, TLSError> {
    guard let receiver else { return decrypt(stage, into: memory.readBuffer) }
    var outcome: Result<TLSDecryption, TLSError>?
    try receiver.withBuffer(sizeHint: EventLoop.readLimit) { target in
      guard target.count > 0 else { throw EventLoopError.emptyBuffer }
      do throws(TLSError) {
        outcome = .success(try stage.engine.decrypt(from: stage.wire, into: &target))
      } catch {
        outcome = .failure(error)
      }
    }
    guard let outcome else { throw EventLoopError.emptyBuffer }
    return outcome
  }

  private func decrypt(_ stage: TLSStage, into buffer: ReadBuffer) -> Result<TLSDecryption, TLSError> {
    do throws(TLSError) {
      return .success(
        try buffer.fill { (target) throws(TLSError) in
          try stage.engine.decrypt(from: stage.wire, into: &target)
        })
    } catch {
      return .failure(error)
    }
  }

  private func tell(_ receiver: (any BufferedProtocol)?, _ count: Int) {
    if let receiver {
      do { try receiver.bufferUpdated(count) } catch { protocolFailed("bufferUpdated", error) }
      return
    }
    do {
      try memory.readBuffer.withPrefix(count) { try getProtocol()?.dataReceived($0) }
    } catch {
      protocolFailed("dataReceived", error)
    }
  }

  /// After a pause: what is held goes first, and not from inside the program's call.
  func scheduleHeldBytes(_ stage: TLSStage) {
    guard stage.hasHeldBytes, state.isDelivering, !stage.isDeliveryScheduled else { return }
    stage.isDeliveryScheduled = true
    loop.callSoon { [self] in
      stage.isDeliveryScheduled = false
      guard tls === stage, state.isDelivering, stage.hasHeldBytes else { return }
      deliver(stage)
      settle()
    }
  }

  /// Looks for the peer's close_notify only: the connection was closed.
  func discard(_ stage: TLSStage) {
    while state.isAwaitingPeer {
      // Not where a protocol may be looking at what it was given.
      switch decrypt(stage, into: memory.discardedBytes) {
      case .failure:
        end(nil)
        return
      case .success(let step):
        if step.next != .end, stage.wire.receivedCount > stage.receiveLimit { return peerGoesOn(stage) }
        switch step.next {
        case .repeatCall: continue
        case .end: peerIsDone()
        case .receive: if let end = stage.wire.end { streamEnded(end, stage) }
        }
        return
      }
    }
  }

  /// The socket's stream has ended, without the peer's close_notify.
  func streamEnded(_ end: SocketWire.End, _ stage: TLSStage) {
    if let broken = brokenSending {
      self.end(broken.error)
    } else if state.isHandshaking {
      handshakeBroke(end)
    } else if case .failure(let error) = end {
      // Once all was said, that is as good an end as any.
      self.end(state.isAwaitingPeer ? nil : IOError(error, "recv", name))
    } else if state.isAwaitingPeer {
      peerIsDone()
    } else if stage.provider.insecurelyAcceptsTruncation {
      receiveEnd()
    } else {
      stage.endError = TLSError.truncated.with(name)
      state.reachedEnd()
      close()
    }
  }

  /// The peer takes no notice of our close. What it sends costs both sides, and is for nobody.
  private func peerGoesOn(_ stage: TLSStage) {
    let what = "\(name) (the peer went on sending after the close)"
    end(stage.endError ?? IOError(.connectionAbort, "TLS shutdown", what))
  }

  private func peerIsDone() {
    state.reachedEnd()
    lastByteWasSent()
  }
}
