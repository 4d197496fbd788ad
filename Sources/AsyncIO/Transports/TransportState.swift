// SPDX-License-Identifier: Apache-2.0

/// How far a transport is: what it may do now, and what it has to do next. Pure: it decides, the transport performs, and
/// is the one to end the process for an event that cannot be. What is in here would cost each access to the state a check.
///
/// Every state carries what means something in it, and nothing else. So a stream that is encrypted has no write side that
/// could be shut by itself, and one that was closed does not know whether the program had paused.
///
/// ```
///           ┌─ handshaking ─┐          ┌─ sendingFailed ─┐
///  starting ┴───────────────┴─> open ──┼─> flushing ─────┼─> ended
///                                      └─> finishing ─> awaitingPeer ─┘       (over TLS)
/// ```
struct TransportState: Equatable {
  /// What an event asks the transport to do.
  enum Action: Equatable {
    case none
    /// End the write side of the socket: every byte is out.
    case shutDownWriting
    /// Tell the peer, over TLS, that every byte is out.
    case sendCloseNotify
    /// Drop what is unsent, and deliver what has arrived: nothing more comes and goes.
    case deliverRest
    /// Give up a handshake, which nobody can take for a connection.
    case failHandshake
    /// Tell the program of the peer's end.
    case tellEnd
    /// Drop what is unsent and schedule `connectionLost`. Asked for once.
    case end
    /// The same, whatever error there is: all was said, and that is as good an end as any.
    case endWell
    /// Tell the program of the connection, which is set up now.
    case begin
    /// End the process: there is no such event here, so the transport has made a mistake, or the program.
    case trap(Mistake)
  }

  enum Mistake: Equatable {
    case handshake, endOfHandshake, halfClose, endOfNobody

    var sentence: String {
      switch self {
      case .handshake: "a handshake began on a connection that ends, or has one already"
      case .endOfHandshake: "a handshake was done that had not begun"
      case .halfClose:
        "StreamTransport.writeEOF(): TLS cannot end one direction alone; see canWriteEOF, or close the connection"
      case .endOfNobody: "the end of a stream was read that nobody reads from"
      }
    }
  }

  /// What the program wants, and what may come.
  private enum Input: Equatable {
    case reading, paused
    /// The peer has ended its side.
    case ended
  }

  /// The way to the peer.
  private enum Output: Equatable {
    case plain
    /// To be shut down as soon as the last byte is out.
    case ending
    case shut
    /// Bytes are encrypted, and the two directions end together.
    case secured
  }

  /// How a peer's stream ended, over TLS.
  enum PeerEnd: Equatable {
    case notYet
    /// By its close_notify.
    case announced
    /// Without a word: it may have been cut short on its way.
    case cutShort
  }

  private enum State: Equatable {
    /// `connectionMade` has not returned: nothing is read yet.
    case starting(Input, Output)
    /// TLS is being set up: what arrives is the handshake's, and nothing of the program's is sent. It is new where
    /// `connectionMade` is still to come.
    case handshaking(isNew: Bool, Input)
    case open(Input, Output)
    /// Nothing can be sent any more. What had arrived by then is still the program's; the end comes behind it.
    case sendingFailed(Input)
    /// Closed by the program; what is buffered still goes out, and what is written meanwhile unless its side was ended. What
    /// arrives may have to be drained: a peer that is not read from may not read either, and then neither gets to its end.
    case flushing(acceptsWrites: Bool, drains: Bool)
    /// The same over TLS, where our last word comes behind it.
    case finishing(PeerEnd)
    /// Over TLS: our last word is out or on its way, the peer's is awaited.
    case awaitingPeer(PeerEnd)
    /// `connectionLost` is scheduled, or was called.
    case ended(PeerEnd)
  }

  private var state = State.starting(.reading, .plain)

  // MARK: What holds now

  /// For whom the descriptor is read; nil where nobody wants anything.
  enum Reader: Equatable {
    case program, handshake
    /// Only the peer's last word is looked for.
    case close
    /// It is dropped, so that the peer can go on.
    case nobody
  }

  var reader: Reader? {
    switch state {
    case .open(.reading, _), .sendingFailed(.reading): .program
    case .handshaking: .handshake
    case .awaitingPeer(.notYet): .close
    case .flushing(_, drains: true): .nobody
    default: nil
    }
  }

  /// Whether the poller has to tell of what arrives. After a failure nobody has to wait for more: what can arrive is there.
  var wantsInput: Bool { reader != nil && !hasFailedSending }
  /// Whether what arrives is the program's, now.
  var isDelivering: Bool { reader == .program }

  /// Whether the program wants data, and some may come.
  var isReading: Bool {
    switch state {
    case .starting(.reading, _), .handshaking(_, .reading), .open(.reading, _), .sendingFailed(.reading): true
    default: false
    }
  }

  /// Whether whatever arrives is nobody's any more, although it may be read.
  var dropsInput: Bool { if case .flushing = state { true } else { false } }
  var hasEnded: Bool { if case .ended = state { true } else { false } }
  var isHandshaking: Bool { if case .handshaking = state { true } else { false } }
  /// Whether all that is missing is that the program takes what has arrived.
  var hasFailedSending: Bool { if case .sendingFailed = state { true } else { false } }
  /// Whether the kernel may take bytes yet.
  var canSend: Bool { !hasFailedSending && !hasEnded }

  /// Whether it was closed, by either side, or is about to end.
  var isClosing: Bool {
    switch state {
    case .starting, .handshaking, .open: false
    case .sendingFailed, .flushing, .finishing, .awaitingPeer, .ended: true
    }
  }

  /// Whether bytes that are written now will be sent. Also while a close waits for earlier ones: what stands above the
  /// transport may have a queue of its own.
  var acceptsWrites: Bool {
    switch state {
    case .starting(_, let output), .open(_, let output): output == .plain || output == .secured
    case .flushing(let accepts, _): accepts
    case .handshaking, .finishing: true
    case .sendingFailed, .awaitingPeer, .ended: false
    }
  }

  /// Whether a handshake may begin on the open connection.
  var mayBeSecured: Bool {
    switch state {
    case .open(.reading, .plain), .open(.paused, .plain), .open(.reading, .secured), .open(.paused, .secured): true
    default: false
    }
  }

  /// Whether all was said that there was to say; the rest is the peer's.
  var hasSaidGoodbye: Bool { if case .awaitingPeer = state { true } else { false } }
  /// Whether the close is that of a stream that was cut short.
  var wasCutShort: Bool {
    state == .finishing(.cutShort) || state == .awaitingPeer(.cutShort) || state == .ended(.cutShort)
  }

  func interest(hasUnsentBytes: Bool) -> Interest {
    var interest: Interest = []
    if wantsInput { interest.insert(.read) }
    if hasUnsentBytes, canSend { interest.insert(.write) }
    return interest
  }

  // MARK: The program's calls

  /// `connectionMade` has returned; what it did may have closed the transport.
  mutating func didStart() {
    if case .starting(let input, let output) = state { state = .open(input, output) }
  }

  mutating func pauseReading() { setInput(.paused) }
  mutating func resumeReading() { setInput(.reading) }

  private mutating func setInput(_ new: Input) {
    switch state {
    case .starting(_, let output): state = .starting(new, output)
    case .handshaking(let isNew, _): state = .handshaking(isNew: isNew, new)
    case .open(let old, let output): if old != .ended { state = .open(new, output) }
    case .sendingFailed(let old): if old != .ended { state = .sendingFailed(new) }
    case .flushing, .finishing, .awaitingPeer, .ended: break
    }
  }

  mutating func endWriting(hasUnsentBytes: Bool) -> Action {
    switch state {
    case .starting(let input, .plain): state = .starting(input, .ending)
    case .open(let input, .plain): state = .open(input, .ending)
    case .starting(_, .secured), .open(_, .secured), .handshaking: return .trap(.halfClose)
    default: return .none
    }
    return hasUnsentBytes ? .none : lastByteWasSent()
  }

  /// - Parameters:
  ///   - hasUnsentBytes: whether the end has to wait.
  ///   - drains: whether what arrives meanwhile is to be read, and dropped.
  mutating func close(hasUnsentBytes: Bool, drains: Bool = false) -> Action {
    switch state {
    case .starting(let input, .secured), .open(let input, .secured):
      state = .finishing(input == .ended ? .announced : .notYet)
    case .starting(let input, let output), .open(let input, let output):
      state = .flushing(acceptsWrites: output == .plain, drains: drains && input != .ended)
    // Nothing was said yet that the peer would have to hear the end of, or it can hear no more.
    case .handshaking, .sendingFailed: return end()
    case .flushing, .finishing, .awaitingPeer, .ended: return .none
    }
    return hasUnsentBytes ? .none : lastByteWasSent()
  }

  /// Ends it now, whatever is unsent: an abort, or an error.
  mutating func end() -> Action {
    switch state {
    case .ended: return .none
    case .finishing(let peer), .awaitingPeer(let peer): state = .ended(peer)
    case .starting, .handshaking, .open, .sendingFailed, .flushing: state = .ended(.notYet)
    }
    return .end
  }

  // MARK: The handshake

  /// From here on, bytes are encrypted.
  mutating func beginHandshake() -> Action {
    switch state {
    case .starting(let input, .plain), .starting(let input, .secured):
      state = .handshaking(isNew: true, input)
    case .open(let input, .plain) where input != .ended, .open(let input, .secured) where input != .ended:
      state = .handshaking(isNew: false, input)
    default: return .trap(.handshake)
    }
    return .none
  }

  mutating func endHandshake() -> Action {
    guard case .handshaking(let isNew, let input) = state else { return .trap(.endOfHandshake) }
    state = isNew ? .starting(input, .secured) : .open(input, .secured)
    return isNew ? .begin : .none
  }

  // MARK: What the peer and the kernel do

  mutating func lastByteWasSent() -> Action {
    switch state {
    case .starting(let input, .ending): state = .starting(input, .shut)
    case .open(let input, .ending): state = .open(input, .shut)
    case .finishing(let peer):
      state = .awaitingPeer(peer)
      return .sendCloseNotify
    case .awaitingPeer(let peer): return peer == .notYet ? .none : end()
    case .flushing: return end()
    default: return .none
    }
    return .shutDownWriting
  }

  /// A send has failed. Whoever awaits the rest of what arrived is given it; a close or a handshake has no use for it.
  mutating func sendingFailed() -> Action {
    switch state {
    case .starting(let input, _), .open(let input, _):
      state = .sendingFailed(input)
      return .deliverRest
    case .handshaking: return .failHandshake
    case .flushing, .finishing: return end()
    case .awaitingPeer: return endWell()
    case .sendingFailed, .ended: return .none
    }
  }

  /// The peer has said that it sends no more.
  ///
  /// - Returns: ``Action/tellEnd`` where the program is still to hear of it.
  mutating func peerEnded() -> Action {
    switch state {
    case .open(_, let output): state = .open(.ended, output)
    case .sendingFailed: state = .sendingFailed(.ended)
    case .flushing(let accepts, _):
      state = .flushing(acceptsWrites: accepts, drains: false)
      return .none
    // A program that lends its buffer may close in between, and is told nothing any more.
    case .ended: return .none
    case .finishing(let peer):
      if peer == .notYet { state = .finishing(.announced) }
      return .none
    case .awaitingPeer(let peer):
      if peer == .notYet { state = .awaitingPeer(.announced) }
      return .none
    case .starting, .handshaking: return .trap(.endOfNobody)
    }
    return .tellEnd
  }

  /// The stream below TLS is at its end, without the peer's last word; behind everything that came before.
  ///
  /// - Parameters:
  ///   - failed: whether by an error.
  ///   - isEnough: whether an end without a word counts as one.
  ///   - hasUnsentBytes: as for ``close(hasUnsentBytes:)``.
  mutating func streamEnded(failed: Bool, isEnough: Bool, hasUnsentBytes: Bool) -> Action {
    switch state {
    case .handshaking: return .failHandshake
    case .sendingFailed: return end()
    case .awaitingPeer: return failed ? endWell() : peerEnded()
    case .open:
      if failed { return end() }
      if isEnough { return peerEnded() }
      state = .finishing(.cutShort)
      return hasUnsentBytes ? .none : lastByteWasSent()
    case .starting, .flushing, .finishing, .ended: return .trap(.endOfNobody)
    }
  }

  private mutating func endWell() -> Action { end() == .end ? .endWell : .none }
}
