// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Stream transport: the state machine")
struct StreamTransportStateTests {
  private enum Event: CaseIterable {
    case didStart, pauseReading, resumeReading, reachedEnd, close, closeWithUnsent, end, endWriting
    case endWritingWithUnsent, lastByteWasSent

    func apply(to state: inout StreamTransportState) -> StreamTransportState.Action {
      switch self {
      case .didStart: state.didStart()
      case .pauseReading: state.pauseReading()
      case .resumeReading: state.resumeReading()
      case .reachedEnd: state.reachedEnd()
      case .close: return state.close(hasUnsentBytes: false)
      case .closeWithUnsent: return state.close(hasUnsentBytes: true)
      case .end: return state.end()
      case .endWriting: return state.endWriting(hasUnsentBytes: false)
      case .endWritingWithUnsent: return state.endWriting(hasUnsentBytes: true)
      case .lastByteWasSent: return state.lastByteWasSent()
      }
      return .none
    }
  }

  /// The rules once more, as facts that only ever come true.
  private struct Model {
    var started = false
    var paused = false
    var reachedEnd = false
    var closed = false
    var ended = false
    var writingEnded = false
    var shut = false

    mutating func expect(_ event: Event) -> StreamTransportState.Action {
      switch event {
      case .didStart: started = true
      case .pauseReading: paused = true
      case .resumeReading: paused = false
      case .reachedEnd: reachedEnd = true
      case .close where !closed: return endOnce()
      case .closeWithUnsent: closed = true
      case .end where !ended: return endOnce()
      case .endWriting where !closed && !writingEnded:
        writingEnded = true
        shut = true
        return .shutDownWriting
      case .endWritingWithUnsent where !closed: writingEnded = true
      case .lastByteWasSent where closed && !ended: return endOnce()
      case .lastByteWasSent where writingEnded && !shut && !ended:
        shut = true
        return .shutDownWriting
      default: break
      }
      return .none
    }

    private mutating func endOnce() -> StreamTransportState.Action {
      closed = true
      ended = true
      return .end
    }

    func check(_ state: StreamTransportState) -> Bool {
      let reads = !paused && !reachedEnd && !closed
      var idle: Interest = []
      if reads, started { idle.insert(.read) }
      var busy = idle
      if !ended { busy.insert(.write) }
      return state.isClosing == closed && state.hasEnded == ended && state.isReading == reads
        && state.acceptsWrites == (!ended && !writingEnded) && state.hasEndedWriting == writingEnded
        && state.interest(hasUnsentBytes: false) == idle && state.interest(hasUnsentBytes: true) == busy
    }
  }

  @Test("Every event in every state that can be reached")
  func everyEventInEveryState() {
    var wrong: [String] = []
    var queue = [(StreamTransportState(), Model())]
    // A state's description tells all its fields.
    var seen = Set(["\(queue[0].0)"])
    #expect(Model().check(StreamTransportState()))
    while let (before, modelBefore) = queue.popLast() {
      for event in Event.allCases {
        var (state, model) = (before, modelBefore)
        let action = event.apply(to: &state)
        if action != model.expect(event) || !model.check(state) { wrong.append("\(event) in \(before)") }
        if seen.insert("\(state)").inserted { queue.append((state, model)) }
      }
    }
    #expect(wrong == [])
    // Four phases, three states of the write side, reading paused or not, end reached or not.
    #expect(seen.count >= 40)
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
