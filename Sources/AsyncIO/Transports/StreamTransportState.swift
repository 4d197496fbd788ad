// SPDX-License-Identifier: Apache-2.0

/// What a stream transport may do now, and what it has to do next. Pure: it decides, the transport performs.
struct StreamTransportState {
  /// What an event asks the transport to do.
  enum Action: Equatable {
    case none
    /// End the write side of the socket: every byte is out.
    case shutDownWriting
    /// Drop what is unsent and schedule `connectionLost`. Asked for once.
    case end
  }

  private enum Phase {
    /// `connectionMade` has not returned: nothing is read yet.
    case starting
    case open
    /// Closed by the program; what is buffered still goes out.
    case flushing
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

  /// Whether it was closed, by either side.
  var isClosing: Bool { phase == .flushing || phase == .ended }
  var hasEnded: Bool { phase == .ended }
  /// Whether bytes that are written now will be sent.
  var acceptsWrites: Bool { !isClosing && writeSide == .open }
  var hasEndedWriting: Bool { writeSide != .open }
  /// Whether the program wants data, and some may come.
  var isReading: Bool { !isReadingPaused && !hasReachedEnd && !isClosing }

  func interest(hasUnsentBytes: Bool) -> Interest {
    var interest: Interest = []
    if isReading, phase == .open { interest.insert(.read) }
    if hasUnsentBytes, phase != .ended { interest.insert(.write) }
    return interest
  }

  mutating func didStart() {
    if phase == .starting { phase = .open }
  }

  mutating func pauseReading() { isReadingPaused = true }
  mutating func resumeReading() { isReadingPaused = false }

  /// The peer will send no more.
  mutating func reachedEnd() { hasReachedEnd = true }

  mutating func close(hasUnsentBytes: Bool) -> Action {
    guard !isClosing else { return .none }
    phase = .flushing
    return hasUnsentBytes ? .none : end()
  }

  /// Ends it now, whatever is unsent: an abort, or an error.
  mutating func end() -> Action {
    guard phase != .ended else { return .none }
    phase = .ended
    return .end
  }

  mutating func endWriting(hasUnsentBytes: Bool) -> Action {
    guard acceptsWrites else { return .none }
    writeSide = .ending
    return hasUnsentBytes ? .none : lastByteWasSent()
  }

  mutating func lastByteWasSent() -> Action {
    if phase == .flushing { return end() }
    guard writeSide == .ending, phase != .ended else { return .none }
    writeSide = .shut
    return .shutDownWriting
  }
}
