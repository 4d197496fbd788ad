// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Transport: the state machine")
struct TransportStateTests {
  private enum Event: CaseIterable {
    case didStart, pauseReading, resumeReading, peerEnded, close, closeWithUnsent, end, endWriting
    case endWritingWithUnsent, lastByteWasSent, sendingFailed, beginHandshake, endHandshake
    case streamFailed, streamEnded, streamEndedWithUnsent, streamEndedEnough

    func apply(to state: inout TransportState) -> TransportState.Action {
      switch self {
      case .didStart: state.didStart()
      case .pauseReading: state.pauseReading()
      case .resumeReading: state.resumeReading()
      case .beginHandshake: return state.beginHandshake()
      case .endHandshake: return state.endHandshake()
      case .peerEnded: return state.peerEnded()
      case .close: return state.close(hasUnsentBytes: false)
      case .closeWithUnsent: return state.close(hasUnsentBytes: true)
      case .end: return state.end()
      case .endWriting: return state.endWriting(hasUnsentBytes: false)
      case .endWritingWithUnsent: return state.endWriting(hasUnsentBytes: true)
      case .lastByteWasSent: return state.lastByteWasSent()
      case .sendingFailed: return state.sendingFailed()
      case .streamFailed: return state.streamEnded(failed: true, isEnough: false, hasUnsentBytes: false)
      case .streamEnded: return state.streamEnded(failed: false, isEnough: false, hasUnsentBytes: false)
      case .streamEndedWithUnsent: return state.streamEnded(failed: false, isEnough: false, hasUnsentBytes: true)
      case .streamEndedEnough: return state.streamEnded(failed: false, isEnough: true, hasUnsentBytes: true)
      }
      return .none
    }
  }

  /// The rules once more, as facts of which most only ever come true.
  private struct Model {
    var started = false
    var paused = false
    var reachedEnd = false
    var cutShort = false
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

    /// What would be a mistake of the transport, or of the program.
    func mistake(_ event: Event) -> TransportState.Mistake? {
      switch event {
      case .peerEnded: started && !handshaking || broken || closed ? nil : .endOfNobody
      case .endWriting, .endWritingWithUnsent: !secured || !isOpen ? nil : .halfClose
      case .beginHandshake: mayBeSecured ? nil : .handshake
      case .endHandshake: handshaking ? nil : .endOfHandshake
      case .streamFailed, .streamEnded, .streamEndedWithUnsent, .streamEndedEnough:
        ended || (closed ? !saidGoodbye : !started && !handshaking && !broken) ? .endOfNobody : nil
      default: nil
      }
    }

    /// What the transport sees to: it does not listen where nobody reads.
    func isPossible(_ event: Event) -> Bool {
      switch event {
      case .didStart: started || !handshaking
      case .streamFailed, .streamEnded, .streamEndedWithUnsent, .streamEndedEnough:
        mistake(event) != nil || handshaking || (secured || broken) && reads && !closed || saidGoodbye && !reachedEnd
      default: true
      }
    }

    mutating func expect(_ event: Event) -> TransportState.Action {
      if let mistake = mistake(event) { return .trap(mistake) }
      switch event {
      case .didStart: started = true
      case .pauseReading: paused = true
      case .resumeReading: paused = false
      case .peerEnded: return peerEnded()
      case .beginHandshake: (secured, handshaking) = (true, true)
      case .endHandshake:
        handshaking = false
        return started ? .none : .begin
      case .close: return close(unsent: false)
      case .closeWithUnsent: return close(unsent: true)
      case .end: return endOnce()
      case .endWriting: return endWriting(unsent: false)
      case .endWritingWithUnsent: return endWriting(unsent: true)
      case .lastByteWasSent: return lastByte()
      case .sendingFailed:
        if handshaking { return .failHandshake }
        if closed { return endOnce(well: saidGoodbye) }
        if !broken {
          broken = true
          return .deliverRest
        }
      case .streamFailed: return streamEnded(failed: true)
      case .streamEnded: return streamEnded()
      case .streamEndedWithUnsent: return streamEnded(unsent: true)
      case .streamEndedEnough: return streamEnded(enough: true)
      }
      return .none
    }

    private mutating func peerEnded() -> TransportState.Action {
      reachedEnd = true
      return closed ? .none : .tellEnd
    }

    private mutating func streamEnded(
      failed: Bool = false, enough: Bool = false, unsent: Bool = false
    ) -> TransportState.Action {
      if handshaking { return .failHandshake }
      if broken { return endOnce() }
      if failed { return endOnce(well: saidGoodbye) }
      if enough || saidGoodbye { return peerEnded() }
      (reachedEnd, cutShort) = (true, true)
      return close(unsent: unsent)
    }

    private mutating func close(unsent: Bool) -> TransportState.Action {
      if closed { return .none }
      if handshaking || broken { return endOnce() }
      closed = true
      return unsent ? .none : lastByte()
    }

    private mutating func endWriting(unsent: Bool) -> TransportState.Action {
      guard isOpen, !writingEnded else { return .none }
      writingEnded = true
      return unsent ? .none : lastByte()
    }

    private mutating func lastByte() -> TransportState.Action {
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

    private mutating func endOnce(well: Bool = false) -> TransportState.Action {
      if ended { return .none }
      (closed, ended, handshaking) = (true, true, false)
      return well ? .endWell : .end
    }

    private var wantsInput: Bool {
      if ended || broken { return false }
      if handshaking { return true }
      if saidGoodbye { return !reachedEnd }
      return started && reads
    }

    private var reads: Bool { !paused && !reachedEnd && !closed }
    private var delivers: Bool { reads && !handshaking && (started || broken) }

    /// What the state answers, and what it should, by their names.
    func differences(_ state: TransportState) -> [String] {
      let input: Interest = wantsInput ? .read : []
      let busy = ended || broken ? input : input.union(.write)
      let facts: [(String, Bool, Bool)] = [
        ("isClosing", state.isClosing, !isOpen), ("hasEnded", state.hasEnded, ended),
        ("isReading", state.isReading, reads), ("isHandshaking", state.isHandshaking, handshaking),
        ("isDelivering", state.isDelivering, delivers), ("handshake", state.reader == .handshake, handshaking),
        ("close", state.reader == .close, saidGoodbye && !reachedEnd && !ended),
        ("acceptsWrites", state.acceptsWrites, !ended && !broken && !saidGoodbye && !writingEnded),
        ("canSend", state.canSend, !ended && !broken), ("hasFailedSending", state.hasFailedSending, broken && !ended),
        ("hasSaidGoodbye", state.hasSaidGoodbye, saidGoodbye && !ended), ("wasCutShort", state.wasCutShort, cutShort),
        ("mayBeSecured", state.mayBeSecured, started && mayBeSecured), ("wantsInput", state.wantsInput, wantsInput),
        ("idle", state.interest(hasUnsentBytes: false) == input, true),
        ("busy", state.interest(hasUnsentBytes: true) == busy, true),
      ]
      return facts.filter { $0.1 != $0.2 }.map(\.0)
    }
  }

  @Test("Every event that is possible, in every state that can be reached")
  func everyEventInEveryState() {
    var wrong: [String] = []
    var queue = [(TransportState(), Model())]
    // A state's description tells all that it carries.
    var seen = Set(["\(queue[0].0)"])
    var (transitions, impossible) = (0, 0)
    #expect(Model().differences(TransportState()) == [])
    while let (before, modelBefore) = queue.popLast() {
      for event in Event.allCases {
        guard modelBefore.isPossible(event) else {
          impossible += 1
          continue
        }
        var (state, model) = (before, modelBefore)
        let (action, expected) = (event.apply(to: &state), model.expect(event))
        transitions += 1
        if case .trap = action, state != before { wrong.append("\(event) in \(before) changes it") }
        if action != expected { wrong.append("\(event) in \(before): \(action), not \(expected)") }
        let differences = model.differences(state)
        if !differences.isEmpty { wrong.append("\(event) in \(before): \(differences)") }
        // Below TLS the socket is never shut down on one side: the peer would take that for a stream cut short.
        if modelBefore.secured, action == .shutDownWriting { wrong.append("\(event) in \(before): half-closed") }
        if seen.insert("\(state)").inserted { queue.append((state, model)) }
      }
    }
    #expect(wrong.prefix(5) == [])
    #expect(seen.count == 38 && transitions + impossible == seen.count * Event.allCases.count)
    #expect(transitions > 400)
  }

  @Test("nothing is read before the transport has started, whatever was asked for")
  func readsOnlyAfterStart() {
    var state = TransportState()
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
      [.end, .close], [.peerEnded, .close, .end], [.endWriting, .close, .end],
      [.endWritingWithUnsent, .closeWithUnsent, .lastByteWasSent, .lastByteWasSent],
    ]
    for way in ways {
      var state = TransportState()
      state.didStart()
      let actions = way.map { $0.apply(to: &state) }
      #expect(actions.filter { $0 == .end }.count == 1, "\(way)")
    }
  }

  @Test("the write side is shut once, after the last byte, and not at all when it is closed meanwhile")
  func shutsOnce() {
    var state = TransportState()
    state.didStart()
    #expect(state.endWriting(hasUnsentBytes: true) == .none)
    #expect(state.endWriting(hasUnsentBytes: false) == .none)
    #expect(state.lastByteWasSent() == .shutDownWriting)
    #expect(state.lastByteWasSent() == .none)
    #expect(state.endWriting(hasUnsentBytes: false) == .none)
    #expect(state.isReading)

    var closed = TransportState()
    #expect(closed.endWriting(hasUnsentBytes: true) == .none)
    #expect(closed.close(hasUnsentBytes: true) == .none)
    #expect(closed.lastByteWasSent() == .end)
  }

  @Test("What cannot happen ends the process with a sentence")
  func impossible() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.tcp.transport(loop, kernel)
        recorder.transport.perform(recorder.transport.state.endHandshake())
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("a handshake was done that had not begun"), "\(text)")
  }

  @Test("a close that drains reads on for nobody until the peer's end, and one after that end does not")
  func draining() {
    var state = TransportState()
    state.didStart()
    state.pauseReading()
    #expect(state.close(hasUnsentBytes: true, drains: true) == .none)
    #expect(state.dropsInput && state.reader == .nobody)
    #expect(state.interest(hasUnsentBytes: true) == [.read, .write])
    #expect(!state.isReading && !state.isDelivering)
    #expect(state.peerEnded() == .none)
    #expect(state.interest(hasUnsentBytes: true) == .write)
    #expect(state.lastByteWasSent() == .end)
    var ended = TransportState()
    ended.didStart()
    _ = ended.peerEnded()
    _ = ended.close(hasUnsentBytes: true, drains: true)
    #expect(ended.interest(hasUnsentBytes: true) == .write)
  }
}
