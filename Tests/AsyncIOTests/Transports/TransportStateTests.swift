// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Transport: the state machine")
struct TransportStateTests {
  /// Whatever a transport tells its state.
  private enum Event {
    case didStart, pauseReading, resumeReading, end, lastByteWasSent, sendingFailed
    case peerEnded, foundNothing, beginHandshake, bytesArrived
    case close(unsent: Bool, drains: Bool)
    case endWriting(unsent: Bool)
    case limitReached(progress: Bool)
    case handshake(isDone: Bool, Wire)
    case decrypted(TLSDecryption.Next, Wire, unsent: Bool)
    case streamEnded(isEnough: Bool, unsent: Bool)

    /// What a wire may report.
    enum Wire: CaseIterable {
      case nothing, kernelEmpty, manyBytes, end, failure

      var report: WireReport {
        switch self {
        case .nothing: WireReport()
        case .kernelEmpty: WireReport(isKernelEmpty: true)
        case .manyBytes: WireReport(received: TLSStage.lateLimit)
        case .end: WireReport(end: .ofStream)
        case .failure: WireReport(end: .failure(.connectionReset), isKernelEmpty: true)
        }
      }
    }

    static let allCases: [Event] = {
      let both = [false, true]
      var all: [Event] = [
        .didStart, .pauseReading, .resumeReading, .end, .lastByteWasSent, .sendingFailed, .peerEnded, .foundNothing,
        .beginHandshake, .bytesArrived,
      ]
      all += both.flatMap { [.endWriting(unsent: $0), .limitReached(progress: $0)] }
      for first in both {
        all += both.flatMap { [.streamEnded(isEnough: first, unsent: $0), .close(unsent: first, drains: $0)] }
      }
      for wire in Wire.allCases {
        all += both.map { .handshake(isDone: $0, wire) }
        for next in [TLSDecryption.Next.receive, .repeatCall, .end] {
          all += both.map { .decrypted(next, wire, unsent: $0) }
        }
      }
      return all
    }()

    func apply(to state: inout TransportState) -> TransportState.Action {
      switch self {
      case .didStart: state.didStart()
      case .pauseReading: state.pauseReading()
      case .bytesArrived: state.bytesArrived()
      case .resumeReading: return state.resumeReading()
      case .beginHandshake: return state.beginHandshake()
      case .handshake(let isDone, let wire): return state.handshakeWentOn(isDone: isDone, wire.report)
      case .decrypted(let next, let wire, let unsent):
        return state.decrypted(next, wire.report, hasUnsentBytes: unsent)
      case .peerEnded: return state.peerEnded()
      case .foundNothing: return state.foundNothing()
      case .close(let unsent, let drains): return state.close(hasUnsentBytes: unsent, drains: drains)
      case .end: return state.end()
      case .endWriting(let unsent): return state.endWriting(hasUnsentBytes: unsent)
      case .lastByteWasSent: return state.lastByteWasSent()
      case .sendingFailed: return state.sendingFailed()
      case .limitReached(let progress): return state.limitReached(madeProgress: progress)
      case .streamEnded(let isEnough, let unsent):
        return state.streamEnded(isEnough: isEnough, hasUnsentBytes: unsent)
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
    /// What arrives is dropped, for as long as a plain connection is closed and not ended.
    var draining = false
    /// What the engine and its wire have, where there are any.
    var held = Held.unknown
    /// How many bytes have come since our goodbye.
    var late = 0

    enum Held {
      case unknown, nothing, kernelEmpty, end, failure

      init(_ wire: Event.Wire) {
        switch wire {
        case .nothing, .manyBytes: self = .nothing
        case .kernelEmpty: self = .kernelEmpty
        case .end: self = .end
        case .failure: self = .failure
        }
      }
    }

    private var isOpen: Bool { !closed && !broken }
    private var mayBeSecured: Bool { isOpen && !handshaking && !writingEnded && !reachedEnd }
    private var reads: Bool { !paused && !reachedEnd && !closed }
    private var delivers: Bool { reads && !handshaking && (started || broken) }
    private var awaitsPeer: Bool { saidGoodbye && !reachedEnd && !ended }

    /// The next step of an encrypted connection.
    var step: TransportState.Step? {
      guard secured, handshaking || delivers || awaitsPeer else { return nil }
      switch held {
      case .unknown: return handshaking ? .handshake : awaitsPeer ? .discard : .deliver
      case .nothing: return nil
      case .kernelEmpty: return broken ? .endOfRest : nil
      case .end, .failure: return .end
      }
    }

    /// What would be a mistake of the transport, or of the program.
    private func mistake(_ event: Event) -> TransportState.Mistake? {
      switch event {
      case .peerEnded: ended || !secured && (started || broken || closed) ? nil : .endOfNobody
      case .endWriting: !secured || !isOpen ? nil : .halfClose
      case .beginHandshake: mayBeSecured ? nil : .handshake
      case .handshake: handshaking ? nil : .handshakeOfNobody
      case .decrypted: ended || secured && (started || handshaking || broken || closed) ? nil : .endOfNobody
      case .streamEnded: step == .end ? nil : .endOfNobody
      default: nil
      }
    }

    mutating func expect(_ event: Event) -> TransportState.Action {
      if let mistake = mistake(event) { return .trap(mistake) }
      switch event {
      case .didStart: started = started || !handshaking
      case .pauseReading: paused = true
      case .resumeReading:
        paused = false
        if broken || delivers && step != nil { return .deliverSoon }
      case .beginHandshake: (secured, handshaking, held) = (true, true, .unknown)
      case .handshake(let isDone, let wire):
        held = isDone ? .unknown : Held(wire)
        handshaking = !isDone
        return isDone && !started ? .begin : .none
      case .bytesArrived: if held == .nothing || held == .kernelEmpty { held = .unknown }
      case .decrypted(let next, let wire, let unsent): return decrypted(next, wire, unsent: unsent)
      case .peerEnded:
        if broken { return endOnce() }
        (reachedEnd, draining) = (true, false)
        return closed ? .none : .tellEnd
      case .foundNothing: return broken && !secured ? endOnce() : .none
      case .close(let unsent, let drains): return close(unsent: unsent, drains: drains)
      case .end: return endOnce()
      case .endWriting(let unsent):
        guard isOpen, !writingEnded else { return .none }
        writingEnded = true
        return unsent ? .none : lastByte()
      case .lastByteWasSent: return lastByte()
      case .sendingFailed:
        if handshaking { return .failHandshake }
        if closed { return endOnce(well: saidGoodbye) }
        if broken { return .none }
        broken = true
        if held == .kernelEmpty { held = .nothing }
        return .deliverRest
      case .limitReached(let progress):
        if closed, secured, !saidGoodbye, !ended, progress { return .limitClose }
        if broken || secured && closed { return endOnce(well: broken || cutShort) }
      case .streamEnded(let isEnough, let unsent): return streamEnded(isEnough: isEnough, unsent: unsent)
      }
      return .none
    }

    private mutating func decrypted(
      _ next: TLSDecryption.Next, _ wire: Event.Wire, unsent: Bool
    ) -> TransportState.Action {
      if ended || handshaking { return .none }
      if closed, !awaitsPeer {
        if next == .end, !saidGoodbye { reachedEnd = true }
        return .none
      }
      if next == .end {
        (reachedEnd, held) = (true, .nothing)
        return !closed ? .tellEnd : unsent ? .none : endOnce()
      }
      if awaitsPeer, wire == .manyBytes {
        if late > 0 { return .refuseFlood }
        late = TLSStage.lateLimit
      }
      held = next == .receive ? Held(wire) : .unknown
      return .none
    }

    private mutating func streamEnded(isEnough: Bool, unsent: Bool) -> TransportState.Action {
      if handshaking { return .failHandshake }
      if broken || held == .failure { return endOnce(well: saidGoodbye) }
      reachedEnd = true
      if saidGoodbye { return unsent ? .none : endOnce() }
      if isEnough {
        held = .nothing
        return .tellEnd
      }
      cutShort = true
      return close(unsent: unsent)
    }

    private mutating func close(unsent: Bool, drains: Bool = false) -> TransportState.Action {
      if closed { return .none }
      if handshaking || broken { return endOnce() }
      closed = true
      draining = drains && !secured && !reachedEnd
      return !unsent ? lastByte() : secured ? .limitClose : .forgetReceiver
    }

    private mutating func lastByte() -> TransportState.Action {
      if ended { return .none }
      if closed, secured, !saidGoodbye {
        (saidGoodbye, held) = (true, .unknown)
        return .sendCloseNotify
      }
      if closed { return secured && !reachedEnd ? .none : endOnce() }
      guard isOpen, writingEnded, !shut else { return .none }
      shut = true
      return .shutDownWriting
    }

    private mutating func endOnce(well: Bool = false) -> TransportState.Action {
      if ended { return .none }
      (closed, ended, handshaking, broken, draining) = (true, true, false, false, false)
      return well ? .endWell : .end
    }

    private var wantsInput: Bool {
      !ended && !broken && (handshaking || awaitsPeer || draining || started && reads)
    }

    /// What the state answers, and what it should, by their names.
    func differences(_ state: TransportState) -> [String] {
      let input: Interest = wantsInput ? .read : []
      let busy = ended || broken ? input : input.union(.write)
      let facts: [(String, Bool, Bool)] = [
        ("isClosing", state.isClosing, !isOpen), ("hasEnded", state.hasEnded, ended),
        ("isReading", state.isReading, reads), ("isHandshaking", state.isHandshaking, handshaking),
        ("program", state.reader == .program, delivers), ("handshake", state.reader == .handshake, handshaking),
        ("close", state.reader == .close, awaitsPeer), ("nobody", state.reader == .nobody, draining),
        ("dropsInput", state.dropsInput, closed && !secured && !ended), ("step", state.step == step, true),
        (
          "acceptsWrites", state.acceptsWrites, !ended && !broken && !saidGoodbye && !writingEnded
        ),
        ("canSend", state.canSend, !ended && !broken), ("hasFailedSending", state.hasFailedSending, broken),
        ("wasCutShort", state.wasCutShort, cutShort),
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
    var queue = [(TransportState(), Model())]
    // Descriptions tell all that they carry. Both are followed: what the state forgets shows in what comes later.
    var seen = Set(["\(queue[0])"])
    var states: Set<String> = []
    var transitions = 0
    #expect(Model().differences(TransportState()) == [])
    while let (before, modelBefore) = queue.popLast() {
      states.insert("\(before)")
      for event in Event.allCases {
        var (state, model) = (before, modelBefore)
        let (action, expected) = (event.apply(to: &state), model.expect(event))
        transitions += 1
        if case .trap = action, state != before { wrong.append("\(event) in \(before) changes it") }
        if action != expected { wrong.append("\(event) in \(before): \(action), not \(expected)") }
        let differences = model.differences(state)
        if !differences.isEmpty { wrong.append("\(event) in \(before): \(differences)") }
        // Below TLS the socket is never shut down on one side: the peer would take that for a stream cut short.
        if modelBefore.secured, action == .shutDownWriting { wrong.append("\(event) in \(before): half-closed") }
        // Where they differ there is nothing to be learnt any more.
        if wrong.count < 5, seen.insert("\((state, model))").inserted { queue.append((state, model)) }
      }
    }
    #expect(wrong.prefix(5) == [])
    #expect(states.count == 92 && transitions == seen.count * Event.allCases.count)
  }

  @Test("nothing is read before the transport has started, whatever was asked for")
  func readsOnlyAfterStart() {
    var state = TransportState()
    _ = state.resumeReading()
    #expect(state.interest(hasUnsentBytes: false) == [])
    #expect(state.interest(hasUnsentBytes: true) == .write)
    state.pauseReading()
    state.didStart()
    #expect(state.interest(hasUnsentBytes: false) == [])
    _ = state.resumeReading()
    #expect(state.interest(hasUnsentBytes: false) == .read)
  }

  @Test("the end is asked for once, by whatever events it is reached")
  func endsOnce() {
    let ways: [[Event]] = [
      [.close(unsent: false, drains: false), .close(unsent: false, drains: false), .end],
      [.close(unsent: true, drains: false), .lastByteWasSent, .end],
      [.close(unsent: true, drains: false), .end, .lastByteWasSent],
      [.end, .close(unsent: false, drains: false)], [.peerEnded, .close(unsent: false, drains: false), .end],
      [.endWriting(unsent: false), .close(unsent: false, drains: false), .end],
      [.endWriting(unsent: true), .close(unsent: true, drains: false), .lastByteWasSent, .lastByteWasSent],
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
    #expect(closed.close(hasUnsentBytes: true) == .forgetReceiver)
    #expect(closed.lastByteWasSent() == .end)
  }

  @Test("What cannot happen ends the process with a sentence")
  func impossible() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.tcp.transport(loop, kernel)
        recorder.transport.perform(recorder.transport.state.handshakeWentOn(isDone: true, WireReport()))
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("a handshake went on that had not begun"), "\(text)")
  }

  @Test("a close that drains reads on for nobody until the peer's end, and one after that end does not")
  func draining() {
    var state = TransportState()
    state.didStart()
    state.pauseReading()
    #expect(state.close(hasUnsentBytes: true, drains: true) == .forgetReceiver)
    #expect(state.dropsInput && state.reader == .nobody)
    #expect(state.interest(hasUnsentBytes: true) == [.read, .write])
    #expect(!state.isReading)
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
