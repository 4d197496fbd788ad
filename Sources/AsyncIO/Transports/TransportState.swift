// SPDX-License-Identifier: Apache-2.0

/// How far a transport is: what it may do now, and what it has to do next. Pure: it decides, the transport performs, and
/// is the one to end the process for an event that cannot be. What is in here would cost each access to the state a check.
///
/// Every state carries what means something in it, and nothing else. So a stream that is encrypted has no write side that
/// could be shut by itself, one that was closed does not know whether the program had paused, and only one that is encrypted
/// knows what its engine holds.
///
/// ```
///           ┌─ handshaking ─┐          ┌─ sendingFailed ──────────────────┐
///  starting ┴───────────────┴─> open ──┼─> flushing ──────────────────────┼─> ended
///                                      └─> finishing ─┬─> awaitingPeer ─┬─┘       (over TLS)
///                                                     └───> parting <───┘
/// ```
struct TransportState: Equatable {
  /// What an event asks the transport to do.
  enum Action: Equatable {
    case none
    /// Tell the program of the connection, which is set up now.
    case begin
    /// Have what has arrived delivered, in a turn of its own.
    case deliverSoon
    /// Tell the program of the peer's end.
    case tellEnd
    /// End the write side of the socket: every byte is out.
    case shutDownWriting
    /// Tell the peer, over TLS, that every byte is out.
    case sendCloseNotify
    /// Give the peer its time, from now on, to take what it is sent.
    case limitClose
    /// Give what arrives to nobody any more.
    case forgetReceiver
    /// Drop what is unsent, and deliver what has arrived: nothing more comes and goes.
    case deliverRest
    /// Give up a handshake, which nobody can take for a connection.
    case failHandshake
    /// End it: the peer takes no notice of our last word.
    case refuseFlood
    /// Drop what is unsent and schedule `connectionLost`. Asked for once.
    case end
    /// The same, whatever error there is: all was said, and that is as good an end as any.
    case endWell
    /// End the process: there is no such event here, so the transport has made a mistake, or the program.
    case trap(Mistake)
  }

  enum Mistake: Equatable {
    case handshake, handshakeOfNobody, halfClose, endOfNobody

    var sentence: String {
      switch self {
      case .handshake: "a handshake began on a connection that ends, or has one already"
      case .handshakeOfNobody: "a handshake went on that had not begun"
      case .halfClose:
        "StreamTransport.writeEOF(): TLS cannot end one direction alone; see canWriteEOF, or close the connection"
      case .endOfNobody: "the end of a stream was read that nobody reads from"
      }
    }
  }

  /// What the program wants, and what may come.
  enum Input: Equatable {
    case reading, paused
    /// The peer has ended its side.
    case ended
  }

  /// The way to the peer.
  enum Output: Equatable {
    case plain
    /// To be shut down as soon as the last byte is out.
    case ending
    case shut
    /// Bytes are encrypted, and the two directions end together.
    case secured(Held)
  }

  /// What there is to be taken from an engine and its wire, without more from the poller.
  enum Held: Equatable {
    /// Something, maybe.
    case unknown
    /// Nothing. The kernel may have more, or was found to have none.
    case nothing(isKernelEmpty: Bool)
    /// The end of the stream below, behind all that came before it.
    case end(failed: Bool)

    init(_ wire: WireReport) {
      self = wire.end.map { .end(failed: $0 != .ofStream) } ?? .nothing(isKernelEmpty: wire.isKernelEmpty)
    }
  }

  /// How a peer's stream ended, over TLS.
  enum PeerEnd: Equatable {
    /// By its close_notify.
    case announced
    /// Without a word: it may have been cut short on its way.
    case cutShort
  }

  enum Phase: Equatable {
    /// `connectionMade` has not returned: nothing is read yet.
    case starting(Input, Output)
    /// TLS is being set up: what arrives is the handshake's, and nothing of the program's is sent. It is new where
    /// `connectionMade` is still to come.
    case handshaking(isNew: Bool, Input, Held)
    case open(Input, Output)
    /// Nothing can be sent any more. What had arrived by then is still the program's; the end comes behind it. On a plain
    /// connection nothing is held.
    case sendingFailed(Input, Held?)
    /// Closed by the program; what is buffered still goes out, and what is written meanwhile unless its side was ended. What
    /// arrives may have to be drained: a peer that is not read from may not read either, and then neither gets to its end.
    case flushing(acceptsWrites: Bool, drains: Bool)
    /// The same over TLS, where our last word comes behind it; and how the peer has ended, if it has.
    case finishing(PeerEnd?)
    /// Over TLS: our last word is out or on its way, the peer's is awaited. So many bytes have come since.
    case awaitingPeer(Held, late: UInt32)
    /// Over TLS: ours is on its way, and no word of the peer's is awaited.
    case parting(PeerEnd)
    /// `connectionLost` is scheduled, or was called.
    case ended(PeerEnd?)
  }

  /// For the other half of this type alone, in `TransportState+TLS`.
  var phase: Phase { didSet { noteWhatHolds() } }
  // What each read and each write asks. The phase changes far less often, and so it is worked out then.
  /// Whether the poller has to tell of what arrives. After a failure nobody has to wait for more: what can arrive is there.
  private(set) var wantsInput = false
  /// Whether the kernel may take bytes yet.
  private(set) var canSend = true
  /// Whether bytes that are written now will be sent. Also while a close waits for earlier ones: what stands above the
  /// transport may have a queue of its own.
  private(set) var acceptsWrites = true
  /// Whether it was closed, by either side, or is about to end.
  private(set) var isClosing = false

  /// - Parameter reads: whether there is anything to be read, ever.
  init(reads: Bool = true) { phase = .starting(reads ? .reading : .ended, .plain) }

  private mutating func noteWhatHolds() {
    wantsInput = reader != nil && !hasFailedSending
    canSend = !hasFailedSending && !hasEnded
    (acceptsWrites, isClosing) =
      switch phase {
      case .starting(_, .plain), .starting(_, .secured), .open(_, .plain), .open(_, .secured): (true, false)
      case .starting, .open: (false, false)
      case .handshaking: (true, false)
      case .flushing(let accepts, _): (accepts, true)
      case .finishing: (true, true)
      case .sendingFailed, .awaitingPeer, .parting, .ended: (false, true)
      }
  }

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
    switch phase {
    case .open(.reading, _), .sendingFailed(.reading, _): .program
    case .handshaking: .handshake
    case .awaitingPeer: .close
    case .flushing(_, drains: true): .nobody
    default: nil
    }
  }

  /// Whether the program wants data, and some may come.
  var isReading: Bool {
    switch phase {
    case .starting(.reading, _), .handshaking(_, .reading, _), .open(.reading, _), .sendingFailed(.reading, _): true
    default: false
    }
  }

  /// Whether whatever arrives is nobody's any more, although it may be read.
  var dropsInput: Bool { if case .flushing = phase { true } else { false } }
  var hasEnded: Bool { if case .ended = phase { true } else { false } }
  var isHandshaking: Bool { if case .handshaking = phase { true } else { false } }
  /// Whether all that is missing is that the program takes what has arrived.
  var hasFailedSending: Bool { if case .sendingFailed = phase { true } else { false } }

  /// Whether a handshake may begin on the open connection.
  var mayBeSecured: Bool {
    switch phase {
    case .open(.reading, .plain), .open(.paused, .plain), .open(.reading, .secured), .open(.paused, .secured): true
    default: false
    }
  }

  /// Whether the stream was cut short on its way.
  var wasCutShort: Bool {
    phase == .finishing(.cutShort) || phase == .parting(.cutShort) || phase == .ended(.cutShort)
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
    if case .starting(let input, let output) = phase { phase = .open(input, output) }
  }

  mutating func pauseReading() { setInput(.paused) }

  mutating func resumeReading() -> Action {
    setInput(.reading)
    // Not from inside of this call of the program's.
    return hasFailedSending || reader == .program && step != nil ? .deliverSoon : .none
  }

  private mutating func setInput(_ new: Input) {
    switch phase {
    case .starting(_, let output): phase = .starting(new, output)
    case .handshaking(let isNew, _, let held): phase = .handshaking(isNew: isNew, new, held)
    case .open(let old, let output): if old != .ended { phase = .open(new, output) }
    case .sendingFailed(let old, let held): if old != .ended { phase = .sendingFailed(new, held) }
    case .flushing, .finishing, .awaitingPeer, .parting, .ended: break
    }
  }

  mutating func endWriting(hasUnsentBytes: Bool) -> Action {
    switch phase {
    case .starting(let input, .plain): phase = .starting(input, .ending)
    case .open(let input, .plain): phase = .open(input, .ending)
    case .starting(_, .secured), .open(_, .secured), .handshaking: return .trap(.halfClose)
    default: return .none
    }
    return hasUnsentBytes ? .none : lastByteWasSent()
  }

  /// - Parameters:
  ///   - hasUnsentBytes: whether the end has to wait.
  ///   - drains: whether what arrives meanwhile is to be read, and dropped.
  mutating func close(hasUnsentBytes: Bool, drains: Bool = false) -> Action {
    switch phase {
    case .starting(let input, .secured), .open(let input, .secured):
      phase = .finishing(input == .ended ? .announced : nil)
      return hasUnsentBytes ? .limitClose : lastByteWasSent()
    case .starting(let input, let output), .open(let input, let output):
      phase = .flushing(acceptsWrites: output == .plain, drains: drains && input != .ended)
      return hasUnsentBytes ? .forgetReceiver : lastByteWasSent()
    // Nothing was said yet that the peer would have to hear the end of, or it can hear no more.
    case .handshaking, .sendingFailed: return end()
    case .flushing, .finishing, .awaitingPeer, .parting, .ended: return .none
    }
  }

  /// Ends it now, whatever is unsent: an abort, or an error.
  mutating func end() -> Action {
    switch phase {
    case .ended: return .none
    case .finishing(let peer): phase = .ended(peer)
    case .parting(let peer): phase = .ended(peer)
    case .starting, .handshaking, .open, .sendingFailed, .flushing, .awaitingPeer: phase = .ended(nil)
    }
    return .end
  }

  // MARK: What the kernel and the peer do

  mutating func lastByteWasSent() -> Action {
    switch phase {
    case .starting(let input, .ending): phase = .starting(input, .shut)
    case .open(let input, .ending): phase = .open(input, .shut)
    case .finishing(let peer):
      // The peer's last word may be among what nobody wanted.
      phase = peer.map { .parting($0) } ?? .awaitingPeer(.unknown, late: 0)
      return .sendCloseNotify
    case .flushing, .parting: return end()
    default: return .none
    }
    return .shutDownWriting
  }

  /// A send has failed. Whoever awaits the rest of what arrived is given it; a close or a handshake has no use for it.
  mutating func sendingFailed() -> Action {
    switch phase {
    case .starting(let input, .secured(let held)), .open(let input, .secured(let held)):
      phase = .sendingFailed(input, held)
      // What has come since the latest receive is to be delivered as well.
      if case .nothing = held { phase = .sendingFailed(input, .nothing(isKernelEmpty: false)) }
      return .deliverRest
    case .starting(let input, _), .open(let input, _):
      phase = .sendingFailed(input, nil)
      return .deliverRest
    case .handshaking: return .failHandshake
    case .flushing, .finishing: return end()
    case .awaitingPeer, .parting: return endWell()
    case .sendingFailed, .ended: return .none
    }
  }

  /// A receive has found nothing, on a plain connection.
  mutating func foundNothing() -> Action {
    if case .sendingFailed(_, nil) = phase { end() } else { .none }
  }

  /// A plain connection's peer has said that it sends no more.
  mutating func peerEnded() -> Action {
    switch phase {
    case .open(_, .plain), .open(_, .ending), .open(_, .shut): return tellEnd()
    // After a reset that a send was told of, a read is told of an end that may be none.
    case .sendingFailed(_, nil): return end()
    case .flushing(let accepts, _):
      phase = .flushing(acceptsWrites: accepts, drains: false)
      return .none
    // A program that lends its buffer may close in between, and is told nothing any more.
    case .ended: return .none
    default: return .trap(.endOfNobody)
    }
  }

  /// A close, or a program that has paused, has taken too long.
  ///
  /// - Parameter madeProgress: whether the peer has taken bytes since.
  mutating func limitReached(madeProgress: Bool) -> Action {
    switch phase {
    case .finishing where madeProgress: return .limitClose
    case .finishing(.cutShort), .parting(.cutShort), .sendingFailed: return endWell()
    case .finishing, .parting, .awaitingPeer: return end()
    case .starting, .handshaking, .open, .flushing, .ended: return .none
    }
  }

  mutating func endWell() -> Action { end() == .end ? .endWell : .none }

  mutating func tellEnd() -> Action {
    switch phase {
    case .open(_, .secured): phase = .open(.ended, .secured(.nothing(isKernelEmpty: false)))
    case .open(_, let output): phase = .open(.ended, output)
    case .sendingFailed: phase = .sendingFailed(.ended, .nothing(isKernelEmpty: false))
    default: return .none
    }
    return .tellEnd
  }
}
