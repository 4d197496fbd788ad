// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  func readEncrypted(_ stage: TLSStage) {
    if stage.hasHeldBytes, state.isDelivering {
      deliverHeld(stage)
      return
    }
    let count: Int
    do throws(Errno) {
      count = try loop.readBuffer.fill { (target) throws(Errno) in
        try loop.kernel.receive(socket.descriptor, into: &target)
      }
    } catch {
      if error != .wouldBlock { encryptedConnectionBroke(IOError(error, "recv", peerName)) }
      return
    }
    guard count > 0 else {
      receiveUnannouncedEnd(stage)
      return
    }
    loop.readBuffer.withPrefix(count) { receive($0, stage) }
  }

  /// Takes what came from the peer.
  func receive(_ bytes: Span<UInt8>, _ stage: TLSStage) {
    if state.isHandshaking {
      continueHandshake(bytes, stage)
    } else if state.isAwaitingPeer {
      discard(bytes, stage)
    } else {
      deliver(bytes, stage)
    }
  }

  /// Decrypts, and tells the protocol, as long as it wants to hear. What it does not want yet is kept.
  func deliver(_ bytes: Span<UInt8>, _ stage: TLSStage) {
    var used = 0
    stage.hasPlaintext = true
    while state.isDelivering, stage.hasPlaintext {
      let outcome: Result<TLSDecryption, TLSError>
      do {
        outcome = try decrypt(bytes.extracting(used...), stage)
      } catch {
        protocolFailed("withBuffer", error)
        return
      }
      guard case .success(let step) = outcome else {
        if case .failure(let error) = outcome { end(error.with(peerName)) }
        return
      }
      used += step.used
      // Before the protocol is told: it may pause, and resume.
      stage.hasPlaintext = step.next != .receive
      if step.count > 0 { tellProtocol(step.count) }
      if step.next == .end {
        stage.hasPlaintext = false
        receiveEnd()
        return
      }
    }
    // After a close nobody asks for it any more; else it is wanted later.
    if used < bytes.count, !state.hasEnded { stage.held.append(copying: bytes.extracting(used...)) }
  }

  /// What the engine makes of it, in the protocol's own buffer if it brings one.
  ///
  /// - Throws: what the protocol throws.
  private func decrypt(_ bytes: Span<UInt8>, _ stage: TLSStage) throws -> Result<TLSDecryption, TLSError> {
    guard let receiver = bufferedReceiver else { return decryptIntoLoopsBuffer(bytes, stage) }
    var outcome: Result<TLSDecryption, TLSError>?
    try receiver.withBuffer(sizeHint: EventLoop.readLimit) { target in
      guard target.count > 0 else { throw EventLoopError.emptyBuffer }
      do throws(TLSError) {
        outcome = .success(
          try sendingOutput(stage) { (output) throws(TLSError) in
            try stage.engine.decrypt(bytes, into: &target, output: &output)
          })
      } catch {
        outcome = .failure(error)
      }
    }
    guard let outcome else { throw EventLoopError.emptyBuffer }
    return outcome
  }

  private func decryptIntoLoopsBuffer(_ bytes: Span<UInt8>, _ stage: TLSStage) -> Result<TLSDecryption, TLSError> {
    do throws(TLSError) {
      return .success(
        try sendingOutput(stage) { (output) throws(TLSError) in
          try loop.plaintextBuffer.fill { (target) throws(TLSError) in
            try stage.engine.decrypt(bytes, into: &target, output: &output)
          }
        })
    } catch {
      return .failure(error)
    }
  }

  private func tellProtocol(_ count: Int) {
    if let receiver = bufferedReceiver {
      do { try receiver.bufferUpdated(count) } catch { protocolFailed("bufferUpdated", error) }
      return
    }
    do {
      try loop.plaintextBuffer.withPrefix(count) { try getProtocol()?.dataReceived($0) }
    } catch {
      protocolFailed("dataReceived", error)
    }
  }

  private func deliverHeld(_ stage: TLSStage) {
    deliver(stage.takeHeld().span, stage)
    updateInterest()
  }

  /// After a pause: what is held goes first, and not from inside the program's call.
  func scheduleHeldBytes(_ stage: TLSStage) {
    guard stage.hasHeldBytes, state.isDelivering, !stage.isDeliveryScheduled else { return }
    stage.isDeliveryScheduled = true
    loop.callSoon { [self] in
      stage.isDeliveryScheduled = false
      if tls === stage, state.isDelivering, stage.hasHeldBytes { deliverHeld(stage) }
    }
  }

  /// Looks for the peer's close_notify only: the connection was closed.
  func discard(_ bytes: Span<UInt8>, _ stage: TLSStage) {
    var used = 0
    while state.isAwaitingPeer {
      switch decryptIntoLoopsBuffer(bytes.extracting(used...), stage) {
      case .failure:
        end(nil)
        return
      case .success(let step):
        used += step.used
        if step.next == .end { peerIsDone() }
        if step.next != .repeatCall { return }
      }
    }
  }

  /// The socket's stream has ended without the peer's close_notify.
  private func receiveUnannouncedEnd(_ stage: TLSStage) {
    if state.isHandshaking {
      handshakeFailed(IOError(.connectionReset, "TLS handshake", peerName))
    } else if state.isAwaitingPeer {
      peerIsDone()
    } else if stage.provider.insecurelyAcceptsTruncation {
      receiveEnd()
    } else {
      stage.endError = TLSError.truncated.with(peerName)
      state.reachedEnd()
      close()
    }
  }

  private func peerIsDone() {
    state.reachedEnd()
    lastByteWasSent()
    updateInterest()
  }

  /// A system call failed. Once all was said, that is as good an end as any.
  func encryptedConnectionBroke(_ error: IOError) {
    if state.isHandshaking {
      handshakeFailed(error)
    } else {
      end(state.isAwaitingPeer ? nil : error)
    }
  }
}
