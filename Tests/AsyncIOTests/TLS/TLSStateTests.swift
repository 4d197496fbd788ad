// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// The pure parts below TLS: the transport's state, and the write buffer.
@Suite struct TLSStateTests {
  private func opened() -> TransportState {
    var state = TransportState()
    _ = state.beginHandshake()
    _ = state.handshakeWentOn(isDone: true, WireReport())
    state.didStart()
    return state
  }

  @Test("A handshake reads although the program has paused, and delivers nothing")
  func handshaking() {
    var state = TransportState()
    _ = state.beginHandshake()
    #expect(state.isHandshaking && state.wantsInput && state.reader != .program && !state.isClosing)
    state.pauseReading()
    #expect(state.interest(hasUnsentBytes: false) == .read && state.interest(hasUnsentBytes: true) == [.read, .write])
    #expect(!state.mayBeSecured)
    _ = state.handshakeWentOn(isDone: true, WireReport())
    #expect(!state.isHandshaking && !state.wantsInput)
    state.didStart()
    #expect(!state.wantsInput && state.mayBeSecured)
    _ = state.resumeReading()
    #expect(state.wantsInput && state.reader == .program)
  }

  @Test("A close during the handshake ends it, with nothing to wait for")
  func closeWhileHandshaking() {
    var state = TransportState()
    _ = state.beginHandshake()
    #expect(state.close(hasUnsentBytes: true) == .end)
    #expect(state.hasEnded && !state.isHandshaking)
  }

  @Test("A close flushes, says goodbye, and waits for the peer's")
  func close() {
    var state = opened()
    #expect(state.close(hasUnsentBytes: true) == .limitClose)
    #expect(!state.wantsInput && state.isClosing && state.reader == nil)
    #expect(state.lastByteWasSent() == .sendCloseNotify)
    #expect(state.reader == .close && state.wantsInput && state.isClosing)
    #expect(state.lastByteWasSent() == .none)
    #expect(state.close(hasUnsentBytes: false) == .none)
    // Ours is on its way yet.
    #expect(state.decrypted(.end, WireReport(), hasUnsentBytes: true) == .none)
    #expect(!state.wantsInput)
    #expect(state.lastByteWasSent() == .end)
    #expect(state.lastByteWasSent() == .none)
  }

  @Test("After the peer's goodbye nothing is waited for")
  func peerFirst() {
    var state = opened()
    #expect(state.decrypted(.end, WireReport(), hasUnsentBytes: false) == .tellEnd)
    #expect(state.close(hasUnsentBytes: false) == .sendCloseNotify)
    #expect(state.lastByteWasSent() == .end)
  }

  @Test("An abort ends every phase")
  func abort() {
    var handshaking = TransportState()
    _ = handshaking.beginHandshake()
    #expect(handshaking.end() == .end)
    var waiting = opened()
    _ = waiting.close(hasUnsentBytes: false)
    #expect(waiting.end() == .end && waiting.hasEnded && !waiting.wantsInput)
    #expect(waiting.end() == .none)
  }

  @Test("A live connection goes on where the handshake came in")
  func liveConnection() {
    var state = TransportState()
    state.didStart()
    _ = state.beginHandshake()
    #expect(state.reader != .program)
    _ = state.handshakeWentOn(isDone: true, WireReport())
    #expect(state.reader == .program)
  }

  // MARK: The write buffer

  @Test("Bytes at the front are lent in one piece, up to the limit")
  func front() {
    var buffer = WriteBuffer()
    var scratch: [UInt8] = []
    func front(_ limit: Int) -> [UInt8] {
      var lent: [UInt8] = []
      buffer.withFront(limit, gathering: &scratch) { lent = [UInt8](copying: $0) }
      return lent
    }
    #expect(front(10) == [])
    let (a, b) = (pattern(5000), pattern(7000))
    buffer.append(a.span)
    #expect(front(10_000) == a && front(100) == Array(a[..<100]))
    buffer.append(contentsOf: [b, [], [1, 2, 3]])
    #expect(front(100_000) == a + b + [1, 2, 3])
    #expect(front(6000) == a + b[..<1000])
    buffer.consume(4000)
    #expect(front(1000) == Array(a[4000...]) && front(1001) == Array(a[4000...]) + [b[0]])
    buffer.consume(1500)
    #expect(buffer.count == 6503)
    #expect(buffer.takeAll() == [Array(b[500...]), [1, 2, 3]])
    #expect(buffer.isEmpty && front(10) == [])
  }
}
