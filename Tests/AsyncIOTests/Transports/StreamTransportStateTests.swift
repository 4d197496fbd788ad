// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Stream transport: the state machine")
struct StreamTransportStateTests {
  private enum Event: CaseIterable {
    case didStart, pauseReading, resumeReading, reachedEnd, close, closeWithUnsent, end, endWriting
    case endWritingWithUnsent, lastByteWasSent, sendingFailed, beginHandshake, endHandshake

    func apply(to state: inout StreamTransportState) -> StreamTransportState.Action {
      switch self {
      case .didStart: state.didStart()
      case .pauseReading: state.pauseReading()
      case .resumeReading: state.resumeReading()
      case .reachedEnd: state.reachedEnd()
      case .beginHandshake: state.beginHandshake()
      case .endHandshake: state.endHandshake()
      case .close: return state.close(hasUnsentBytes: false)
      case .closeWithUnsent: return state.close(hasUnsentBytes: true)
      case .end: return state.end()
      case .endWriting: return state.endWriting(hasUnsentBytes: false)
      case .endWritingWithUnsent: return state.endWriting(hasUnsentBytes: true)
      case .lastByteWasSent: return state.lastByteWasSent()
      case .sendingFailed: return state.sendingFailed()
      }
      return .none
    }
  }

  /// The rules once more, as facts of which most only ever come true.
  private struct Model {
    var started = false
    var paused = false
    var reachedEnd = false
    var closed = false
    var broken = false
    var ended = false
    var writingEnded = false
    var shut = false
    var secured = false
    var handshaking = false
    var saidGoodbye = false

    private var isOpen: Bool { !closed && !broken }
    private var mayBeSecured: Bool { isOpen && !handshaking && !writingEnded && !reachedEnd }

    mutating func expect(_ event: Event) -> StreamTransportState.Action {
      switch event {
      case .didStart: if !handshaking { started = true }
      case .pauseReading: paused = true
      case .resumeReading: paused = false
      case .reachedEnd: reachedEnd = true
      case .beginHandshake: if mayBeSecured { (secured, handshaking) = (true, true) }
      case .endHandshake: handshaking = false
      case .close: return close(unsent: false)
      case .closeWithUnsent: return close(unsent: true)
      case .end: return endOnce()
      case .endWriting: return endWriting(unsent: false)
      case .endWritingWithUnsent: return endWriting(unsent: true)
      case .lastByteWasSent: return lastByte()
      case .sendingFailed:
        if handshaking || closed { return endOnce() }
        if !broken {
          broken = true
          return .deliverRest
        }
      }
      return .none
    }

    private mutating func close(unsent: Bool) -> StreamTransportState.Action {
      if closed { return .none }
      if handshaking || broken { return endOnce() }
      closed = true
      return unsent ? .none : lastByte()
    }

    private mutating func endWriting(unsent: Bool) -> StreamTransportState.Action {
      guard isOpen, !secured, !writingEnded else { return .none }
      writingEnded = true
      return unsent ? .none : lastByte()
    }

    private mutating func lastByte() -> StreamTransportState.Action {
      if ended { return .none }
      if closed, secured, !saidGoodbye {
        saidGoodbye = true
        return .sendCloseNotify
      }
      if closed { return secured && !reachedEnd ? .none : endOnce() }
      guard isOpen, writingEnded, !shut else { return .none }
      shut = true
      return .shutDownWriting
    }

    private mutating func endOnce() -> StreamTransportState.Action {
      if ended { return .none }
      (closed, ended, handshaking) = (true, true, false)
      return .end
    }

    private var wantsInput: Bool {
      if ended || broken { return false }
      if handshaking { return true }
      if saidGoodbye { return !reachedEnd }
      return started && reads
    }

    private var reads: Bool { !paused && !reachedEnd && !closed }

    /// What the state answers, and what it should, by their names.
    func differences(_ state: StreamTransportState) -> [String] {
      let input: Interest = wantsInput ? .read : []
      let busy = ended || broken ? input : input.union(.write)
      let facts: [(String, Bool, Bool)] = [
        ("isClosing", state.isClosing, !isOpen), ("hasEnded", state.hasEnded, ended),
        ("isReading", state.isReading, reads), ("isHandshaking", state.isHandshaking, handshaking),
        ("isDelivering", state.isDelivering, reads && !handshaking && (started || broken)),
        ("acceptsWrites", state.acceptsWrites, !ended && !broken && !saidGoodbye && !writingEnded),
        ("hasEndedWriting", state.hasEndedWriting, writingEnded), ("canSend", state.canSend, !ended && !broken),
        ("hasFailedSending", state.hasFailedSending, broken && !ended),
        ("isAwaitingPeer", state.isAwaitingPeer, saidGoodbye && !ended),
        ("mayBeSecured", state.mayBeSecured, started && mayBeSecured), ("wantsInput", state.wantsInput, wantsInput),
        ("idle", state.interest(hasUnsentBytes: false) == input, true),
        ("busy", state.interest(hasUnsentBytes: true) == busy, true),
      ]
      return facts.filter { $0.1 != $0.2 }.map(\.0)
    }
  }

  @Test("Every event in every state that can be reached")
  func everyEventInEveryState() {
    var wrong: [String] = []
    var queue = [(StreamTransportState(), Model())]
    // A state's description tells all its fields.
    var seen = Set(["\(queue[0].0)"])
    var (securedCount, transitions) = (0, 0)
    #expect(Model().differences(StreamTransportState()) == [])
    while let (before, modelBefore) = queue.popLast() {
      if modelBefore.secured { securedCount += 1 }
      for event in Event.allCases {
        var (state, model) = (before, modelBefore)
        let (action, expected) = (event.apply(to: &state), model.expect(event))
        transitions += 1
        if action != expected { wrong.append("\(event) in \(before): \(action), not \(expected)") }
        let differences = model.differences(state)
        if !differences.isEmpty { wrong.append("\(event) in \(before): \(differences)") }
        // Below TLS the socket is never shut down on one side: the peer would take that for a stream cut short.
        if modelBefore.secured, action == .shutDownWriting { wrong.append("\(event) in \(before): half-closed") }
        if seen.insert("\(state)").inserted { queue.append((state, model)) }
      }
    }
    #expect(wrong.prefix(5) == [])
    // Phases, what a handshake interrupts, sides of the connection, pauses: half as many without TLS.
    #expect(seen.count == 112 && securedCount == 52)
    #expect(transitions == seen.count * Event.allCases.count)
  }

  @Test("nothing is read before the transport has started, whatever was asked for")
  func readsOnlyAfterStart() {
    var state = StreamTransportState()
    state.resumeReading()
    #expect(state.interest(hasUnsentBytes: false) == [])
    #expect(state.interest(hasUnsentBytes: true) == .write)
    state.pauseReading()
    state.didStart()
    #expect(state.interest(hasUnsentBytes: false) == [])
    state.resumeReading()
    #expect(state.interest(hasUnsentBytes: false) == .read)
  }

  @Test("the end is asked for once, by whatever events it is reached")
  func endsOnce() {
    let ways: [[Event]] = [
      [.close, .close, .end], [.closeWithUnsent, .lastByteWasSent, .end], [.closeWithUnsent, .end, .lastByteWasSent],
      [.end, .close], [.reachedEnd, .close, .end], [.endWriting, .close, .end],
      [.endWritingWithUnsent, .closeWithUnsent, .lastByteWasSent, .lastByteWasSent],
    ]
    for way in ways {
      var state = StreamTransportState()
      state.didStart()
      let actions = way.map { $0.apply(to: &state) }
      #expect(actions.filter { $0 == .end }.count == 1, "\(way)")
    }
  }

  @Test("the write side is shut once, after the last byte, and not at all when it is closed meanwhile")
  func shutsOnce() {
    var state = StreamTransportState()
    state.didStart()
    #expect(state.endWriting(hasUnsentBytes: true) == .none)
    #expect(state.endWriting(hasUnsentBytes: false) == .none)
    #expect(state.lastByteWasSent() == .shutDownWriting)
    #expect(state.lastByteWasSent() == .none)
    #expect(state.endWriting(hasUnsentBytes: false) == .none)
    #expect(state.isReading)

    var closed = StreamTransportState()
    #expect(closed.endWriting(hasUnsentBytes: true) == .none)
    #expect(closed.close(hasUnsentBytes: true) == .none)
    #expect(closed.lastByteWasSent() == .end)
  }
}
