// SPDX-License-Identifier: Apache-2.0

/// What an engine and its wire add to a transport's state.
extension TransportState {
  /// What is to be done with what has arrived over TLS.
  enum Step: Equatable {
    /// Go on with the handshake; decrypt, for the program; decrypt, for nobody.
    case handshake, deliver, discard
    /// Take the end of the stream below.
    case end
    /// Nothing can be sent, and all that had arrived was delivered.
    case endOfRest
  }

  /// The next step, as long as there is one without more from the poller.
  var step: Step? {
    switch phase {
    case .handshaking(_, _, let held): step(.handshake, held)
    case .open(.reading, .secured(let held)): step(.deliver, held)
    case .sendingFailed(.reading, .nothing(isKernelEmpty: true)): .endOfRest
    case .sendingFailed(.reading, let held?): step(.deliver, held)
    case .awaitingPeer(let held, _): step(.discard, held)
    default: nil
    }
  }

  private func step(_ step: Step, _ held: Held) -> Step? {
    switch held {
    case .unknown: step
    case .nothing: nil
    case .end: .end
    }
  }

  /// Whether something is held for a program that has paused.
  var holdsSomething: Bool {
    switch phase {
    case .open(_, .secured(let held)), .sendingFailed(_, let held?): step(.deliver, held) != nil
    default: false
    }
  }

  /// From here on, bytes are encrypted.
  mutating func beginHandshake() -> Action {
    switch phase {
    case .starting(let input, .plain), .starting(let input, .secured):
      phase = .handshaking(isNew: true, input, .unknown)
    case .open(let input, .plain) where input != .ended, .open(let input, .secured) where input != .ended:
      phase = .handshaking(isNew: false, input, .unknown)
    default: return .trap(.handshake)
    }
    return .none
  }

  /// The engine has gone on with the handshake, as far as it could.
  mutating func handshakeWentOn(isDone: Bool, _ wire: WireReport) -> Action {
    guard case .handshaking(let isNew, let input, _) = phase else { return .trap(.handshakeOfNobody) }
    if !isDone {
      phase = .handshaking(isNew: isNew, input, Held(wire))
      return .none
    }
    phase = isNew ? .starting(input, .secured(.unknown)) : .open(input, .secured(.unknown))
    return isNew ? .begin : .none
  }

  /// The poller has reported bytes, which the engine may have received now.
  mutating func bytesArrived() {
    switch phase {
    case .handshaking(let isNew, let input, .nothing): phase = .handshaking(isNew: isNew, input, .unknown)
    case .open(let input, .secured(.nothing)): phase = .open(input, .secured(.unknown))
    case .sendingFailed(let input, .nothing): phase = .sendingFailed(input, .unknown)
    case .awaitingPeer(.nothing, let late): phase = .awaitingPeer(.unknown, late: late)
    default: break
    }
  }

  /// The engine has decrypted what it could. What it has brought is handed out behind this: a program may pause, and resume.
  mutating func decrypted(_ next: TLSDecryption.Next, _ wire: WireReport, hasUnsentBytes: Bool) -> Action {
    let held = next == .receive ? Held(wire) : .unknown
    switch phase {
    case .open(let input, .secured):
      if next == .end { return tellEnd() }
      phase = .open(input, .secured(held))
    case .sendingFailed(let input, _?):
      if next == .end { return tellEnd() }
      phase = .sendingFailed(input, held)
    case .awaitingPeer(_, let late):
      if next == .end { return part(hasUnsentBytes: hasUnsentBytes) }
      let (sum, isFull) = late.addingReportingOverflow(UInt32(clamping: wire.received))
      if isFull || sum > TLSStage.lateLimit { return .refuseFlood }
      phase = .awaitingPeer(held, late: sum)
    // A program that lends its buffer may close in between, or begin another handshake.
    case .finishing(nil): if next == .end { phase = .finishing(.announced) }
    case .finishing, .parting, .ended, .handshaking: break
    case .starting, .open, .sendingFailed, .flushing: return .trap(.endOfNobody)
    }
    return .none
  }

  /// The end of the stream below TLS, without the peer's last word, has its turn behind everything that came before.
  ///
  /// - Parameters:
  ///   - isEnough: whether an end without a word counts as one.
  ///   - hasUnsentBytes: as for ``close(hasUnsentBytes:)``.
  mutating func streamEnded(isEnough: Bool, hasUnsentBytes: Bool) -> Action {
    switch phase {
    case .handshaking(_, _, .end): return .failHandshake
    case .sendingFailed(.reading, .end): return end()
    case .awaitingPeer(.end(let failed), _): return failed ? endWell() : part(hasUnsentBytes: hasUnsentBytes)
    case .open(.reading, .secured(.end(let failed))):
      if failed { return end() }
      if isEnough { return tellEnd() }
      phase = .finishing(.cutShort)
      return hasUnsentBytes ? .limitClose : lastByteWasSent()
    default: return .trap(.endOfNobody)
    }
  }

  private mutating func part(hasUnsentBytes: Bool) -> Action {
    phase = .parting(.announced)
    return hasUnsentBytes ? .none : end()
  }
}
