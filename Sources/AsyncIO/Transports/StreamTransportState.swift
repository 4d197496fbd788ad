// SPDX-License-Identifier: Apache-2.0

/// What a stream transport may do now, and what it has to do next. Pure: it decides, the transport performs.
struct StreamTransportState {
  /// What an event asks the transport to do.
  enum Action: Equatable {
    case none
    /// End the write side of the socket: every byte is out.
    case shutDownWriting
    /// Tell the peer, over TLS, that every byte is out.
    case sendCloseNotify
    /// Drop what is unsent, and deliver what has arrived: nothing more comes and goes.
    case deliverRest
    /// Drop what is unsent and schedule `connectionLost`. Asked for once.
    case end
  }

  private enum Phase {
    /// `connectionMade` has not returned: nothing is read yet.
    case starting
    /// TLS is being set up: what arrives is the handshake's, and nothing of the program's is sent.
    case handshaking
    case open
    /// Closed by the program; what is buffered still goes out.
    case flushing
    /// Over TLS: our last word is out or on its way, the peer's is awaited.
    case awaitingPeer
    /// Nothing can be sent any more. What had arrived by then is still the program's; the end comes behind it.
    case sendingFailed
    /// `connectionLost` is scheduled, or was called.
    case ended
  }

  private enum WriteSide {
    case open
    /// To be shut down as soon as the last byte is out.
    case ending
    case shut
  }

  private var phase = Phase.starting
  private var writeSide = WriteSide.open
  private var isReadingPaused = false
  private var hasReachedEnd = false
  /// Whether bytes are encrypted, or will be after a handshake.
  private var isSecured = false
  /// What the handshake interrupts.
  private var phaseAfterHandshake = Phase.starting

  /// Whether it was closed, by either side, or is about to end.
  var isClosing: Bool { isClosed || phase == .sendingFailed }
  /// Whether it was closed, so that nothing is delivered any more.
  private var isClosed: Bool { phase == .flushing || phase == .awaitingPeer || phase == .ended }
  var hasEnded: Bool { phase == .ended }
  /// Whether all that is missing is that the program takes what has arrived.
  var hasFailedSending: Bool { phase == .sendingFailed }
  /// Whether the kernel may take bytes yet.
  var canSend: Bool { phase != .sendingFailed && phase != .ended }
  var isHandshaking: Bool { phase == .handshaking }
  /// Whether all that is missing is the peer's close_notify.
  var isAwaitingPeer: Bool { phase == .awaitingPeer }
  /// Whether a handshake may begin on the open connection.
  var mayBeSecured: Bool { phase == .open && writeSide == .open && !hasReachedEnd }
  /// Whether what arrives is the program's.
  var isDelivering: Bool { isReading && (phase == .open || phase == .sendingFailed) }
  /// Whether bytes that are written now will be sent. Also while a close waits for earlier ones: what stands above the
  /// transport may have a queue of its own.
  var acceptsWrites: Bool { writeSide == .open && phase != .awaitingPeer && canSend }
  var hasEndedWriting: Bool { writeSide != .open }
  /// Whether the program wants data, and some may come.
  var isReading: Bool { !isReadingPaused && !hasReachedEnd && !isClosed }

  /// Whether the socket is to be read from.
  var wantsInput: Bool {
    switch phase {
    case .open: isReading
    case .handshaking: true
    case .awaitingPeer: !hasReachedEnd
    // After a failure nobody has to wait for more: what can arrive is there.
    case .starting, .flushing, .sendingFailed, .ended: false
    }
  }

  func interest(hasUnsentBytes: Bool) -> Interest {
    var interest: Interest = []
    if wantsInput { interest.insert(.read) }
    if hasUnsentBytes, canSend { interest.insert(.write) }
    return interest
  }

  mutating func didStart() {
    if phase == .starting { phase = .open }
  }

  /// A handshake begins, on a new connection or on one that is open. From here on, bytes are encrypted.
  mutating func beginHandshake() {
    guard (phase == .starting || phase == .open) && writeSide == .open && !hasReachedEnd else { return }
    isSecured = true
    phaseAfterHandshake = phase
    phase = .handshaking
  }

  /// The handshake is done.
  mutating func endHandshake() {
    if phase == .handshaking { phase = phaseAfterHandshake }
  }

  mutating func pauseReading() { isReadingPaused = true }
  mutating func resumeReading() { isReadingPaused = false }

  /// The peer will send no more.
  mutating func reachedEnd() { hasReachedEnd = true }

  mutating func close(hasUnsentBytes: Bool) -> Action {
    guard !isClosed else { return .none }
    // Nothing was said yet that the peer would have to hear the end of, or it can hear no more.
    if phase == .handshaking || phase == .sendingFailed { return end() }
    phase = .flushing
    return hasUnsentBytes ? .none : lastByteWasSent()
  }

  /// Ends it now, whatever is unsent: an abort, or an error.
  mutating func end() -> Action {
    guard phase != .ended else { return .none }
    phase = .ended
    return .end
  }

  /// A send has failed. Whoever awaits the rest of what arrived is given it; a close or a handshake has no use for it.
  mutating func sendingFailed() -> Action {
    switch phase {
    case .starting, .open:
      phase = .sendingFailed
      return .deliverRest
    case .handshaking, .flushing, .awaitingPeer: return end()
    case .sendingFailed, .ended: return .none
    }
  }

  /// Not over TLS, which has no half-close.
  mutating func endWriting(hasUnsentBytes: Bool) -> Action {
    guard !isClosing, writeSide == .open, !isSecured else { return .none }
    writeSide = .ending
    return hasUnsentBytes ? .none : lastByteWasSent()
  }

  mutating func lastByteWasSent() -> Action {
    if phase == .flushing, isSecured {
      phase = .awaitingPeer
      return .sendCloseNotify
    }
    if phase == .awaitingPeer { return hasReachedEnd ? end() : .none }
    if phase == .flushing { return end() }
    guard writeSide == .ending, canSend else { return .none }
    writeSide = .shut
    return .shutDownWriting
  }
}
