// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension StreamTransport {
  func readEncrypted(_ stage: TLSStage) {
    stage.wire.allowReceiving()
    switch state.reader {
    case .handshake: continueHandshake(stage)
    case .program: deliver(stage)
    case .close: discard(stage)
    // Only a stream that is not encrypted is drained.
    case .nobody, nil: break
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
        return receiveEnd()
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
      try memory.readBuffer.withPrefix(count) { try deliver($0) }
    } catch {
      protocolFailed("dataReceived", error)
    }
  }

  /// Looks for the peer's close_notify only: the connection was closed.
  func discard(_ stage: TLSStage) {
    while state.reader == .close {
      // Not where a protocol may be looking at what it was given.
      guard case .success(let step) = decrypt(stage, into: memory.discardedBytes) else { return end(nil) }
      if step.next == .end { return receiveEnd() }
      // The peer takes no notice of our close. What it sends costs both sides, and is for nobody.
      if stage.wire.receivedCount > stage.receiveLimit {
        let what = "\(name) (the peer went on sending after the close)"
        return end(IOError(.connectionAbort, "TLS shutdown", what))
      }
      if step.next == .receive {
        if let end = stage.wire.end { streamEnded(end, stage) }
        return
      }
    }
  }

  /// The socket's stream has ended, without the peer's close_notify.
  func streamEnded(_ end: SocketWire.End, _ stage: TLSStage) {
    var error = brokenSending?.error
    if error == nil, case .failure(let code) = end {
      error = IOError(code, endpoint.calls.receive.description, name)
    }
    let isEnough = stage.provider.insecurelyAcceptsTruncation
    perform(state.streamEnded(failed: error != nil, isEnough: isEnough, hasUnsentBytes: hasUnsentBytes), error)
    if state.hasSaidGoodbye {
      lastByteWasSent()
    } else if state.wasCutShort, hasUnsentBytes {
      limitShutdown(stage)
    }
  }
}
