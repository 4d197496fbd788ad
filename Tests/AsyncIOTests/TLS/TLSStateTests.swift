// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import Testing

@testable import AsyncIO

/// The pure parts below TLS: the transport's state, the write buffer, and an engine made of two.
@Suite struct TLSStateTests {
  private func opened() -> StreamTransportState {
    var state = StreamTransportState()
    state.beginHandshake()
    state.endHandshake()
    state.didStart()
    return state
  }

  @Test("A handshake reads although the program has paused, and delivers nothing")
  func handshaking() {
    var state = StreamTransportState()
    state.beginHandshake()
    #expect(state.isHandshaking && state.wantsInput && !state.isDelivering && !state.isClosing)
    state.pauseReading()
    #expect(state.interest(hasUnsentBytes: false) == .read && state.interest(hasUnsentBytes: true) == [.read, .write])
    #expect(!state.mayBeSecured)
    state.endHandshake()
    #expect(!state.isHandshaking && !state.wantsInput)
    state.didStart()
    #expect(!state.wantsInput && state.mayBeSecured)
    state.resumeReading()
    #expect(state.wantsInput && state.isDelivering)
  }

  @Test("A close during the handshake ends it, with nothing to wait for")
  func closeWhileHandshaking() {
    var state = StreamTransportState()
    state.beginHandshake()
    #expect(state.close(hasUnsentBytes: true) == .end)
    #expect(state.hasEnded)
    state.beginHandshake()
    state.endHandshake()
    #expect(state.hasEnded && !state.isHandshaking)
  }

  @Test("A close flushes, says goodbye, and waits for the peer's")
  func close() {
    var state = opened()
    #expect(state.close(hasUnsentBytes: true) == .none)
    #expect(!state.wantsInput && state.isClosing && !state.isAwaitingPeer)
    #expect(state.lastByteWasSent() == .sendCloseNotify)
    #expect(state.isAwaitingPeer && state.wantsInput && !state.isDelivering && state.isClosing)
    #expect(state.lastByteWasSent() == .none)
    #expect(state.close(hasUnsentBytes: false) == .none)
    state.reachedEnd()
    #expect(!state.wantsInput)
    #expect(state.lastByteWasSent() == .end)
    #expect(state.lastByteWasSent() == .none)
  }

  @Test("After the peer's goodbye nothing is waited for")
  func peerFirst() {
    var state = opened()
    state.reachedEnd()
    #expect(state.close(hasUnsentBytes: false) == .sendCloseNotify)
    #expect(state.lastByteWasSent() == .end)
  }

  @Test("An abort ends every phase")
  func abort() {
    var handshaking = StreamTransportState()
    handshaking.beginHandshake()
    #expect(handshaking.end() == .end)
    var waiting = opened()
    _ = waiting.close(hasUnsentBytes: false)
    #expect(waiting.end() == .end && waiting.hasEnded && !waiting.wantsInput)
    #expect(waiting.end() == .none)
  }

  @Test("A live connection goes on where the handshake came in")
  func liveConnection() {
    var state = StreamTransportState()
    state.didStart()
    state.beginHandshake()
    #expect(!state.isDelivering)
    state.endHandshake()
    #expect(state.isDelivering)
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
    _ = buffer.append(a.span)
    #expect(front(10_000) == a && front(100) == Array(a[..<100]))
    buffer.appendQuietly(contentsOf: [b, [], [1, 2, 3]])
    #expect(front(100_000) == a + b + [1, 2, 3])
    #expect(front(6000) == a + b[..<1000])
    _ = buffer.consume(4000)
    #expect(front(1000) == Array(a[4000...]) && front(1001) == Array(a[4000...]) + [b[0]])
    buffer.consumeEncrypted(1500)
    #expect(buffer.count == 6503 && buffer.encryptedCount == 1500)
    #expect(buffer.takeAll() == [Array(b[500...]), [1, 2, 3]])
    #expect(buffer.isEmpty && front(10) == [])
  }

  @Test("What was encrypted counts for the marks until it is with the kernel")
  func marks() {
    var buffer = WriteBuffer()
    _ = buffer.setLimits(high: 1000, low: 500)
    #expect(buffer.append(pattern(1001).span) == .pause)
    buffer.consumeEncrypted(1001)
    #expect(buffer.isEmpty && buffer.signal() == .none && buffer.isPaused)
    buffer.encryptedCount = 501
    #expect(buffer.signal() == .none)
    buffer.encryptedCount = 500
    #expect(buffer.signal() == .resume)
    buffer.appendQuietly(contentsOf: [pattern(501)])
    #expect(!buffer.isPaused && buffer.signal() == .pause)
    buffer.discard()
    #expect(buffer.count == 0 && buffer.encryptedCount == 0)
  }

  // MARK: TLS in TLS

  /// Carries bytes until nobody has more to say.
  private func talk(_ a: HandDrivenTLS, _ b: HandDrivenTLS, _ piece: Int) throws {
    while !a.outgoing.isEmpty || !b.outgoing.isEmpty {
      for (from, to) in [(a, b), (b, a)] {
        let bytes = from.takeOutgoing()
        for start in stride(from: 0, to: bytes.count, by: piece) {
          try to.feed(Array(bytes[start..<min(bytes.count, start + piece)]))
        }
      }
    }
  }

  @Test("An engine over another works with pieces of any size, both ways", arguments: [1, 7, 100, 100_000])
  func stacked(piece: Int) throws {
    let (server, client) = (try serverTLS(), try clientTLS())
    let role = TLSRole.client(serverName: "localhost")
    let (lowerA, lowerB) = (try HandDrivenTLS(client, role), try HandDrivenTLS(server, .server))
    try lowerA.feed([])
    try talk(lowerA, lowerB, piece)
    #expect(lowerA.isDone && lowerB.isDone)
    let a = HandDrivenTLS(StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine))
    let b = HandDrivenTLS(StackedTLSEngine(try server.makeEngine(for: .server), over: lowerB.engine))
    try a.feed([])
    try talk(a, b, piece)
    #expect(a.isDone && b.isDone)
    #expect(a.engine.info.serverName == "localhost")
    // Bytes by themselves take time.
    let size = min(50_000, piece * 500)
    let (question, answer) = (pattern(size), pattern(size / 2))
    try a.send(question)
    try b.send(answer)
    try talk(a, b, piece)
    #expect(b.received == question)
    #expect(a.received == answer, "\(a.received.count) of \(answer.count)")
    a.close()
    try talk(a, b, piece)
    #expect(b.hasEnded && !a.hasEnded)
  }

  @Test("An upper engine's error reaches the peer through the lower one")
  func stackedAlert() throws {
    let (server, client) = (try serverTLS("foreign"), try clientTLS())
    let role = TLSRole.client(serverName: nil)
    let anyone = try clientTLS { $0.verification = .insecureNone }
    let (lowerA, lowerB) = (try HandDrivenTLS(anyone, role), try HandDrivenTLS(server, .server))
    try lowerA.feed([])
    try talk(lowerA, lowerB, 1000)
    let a = HandDrivenTLS(StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine))
    let b = HandDrivenTLS(StackedTLSEngine(try server.makeEngine(for: .server), over: lowerB.engine))
    try a.feed([])
    try b.feed(a.takeOutgoing())
    let bytes = b.takeOutgoing()
    #expect(throws: TLSError.self) { try a.feed(bytes) }
    let alert = a.takeOutgoing()
    do {
      try b.feed(alert)
      Issue.record("no alert came")
    } catch let error as TLSError {
      #expect(error.reason.contains("unknown ca"))
    }
  }

  @Test(
    "A lower end during the upper handshake, or without the upper one's goodbye, is an error", arguments: [false, true])
  func lowerEnds(isDone: Bool) throws {
    let (server, client) = (try serverTLS(), try clientTLS())
    let role = TLSRole.client(serverName: nil)
    for accepts in [false, true] {
      let (lowerA, lowerB) = (try HandDrivenTLS(client, role), try HandDrivenTLS(server, .server))
      try lowerA.feed([])
      try talk(lowerA, lowerB, 1000)
      let a = HandDrivenTLS(
        StackedTLSEngine(try client.makeEngine(for: role), over: lowerA.engine, acceptsTruncation: accepts))
      let b = HandDrivenTLS(StackedTLSEngine(try server.makeEngine(for: .server), over: lowerB.engine))
      try a.feed([])
      if isDone { try talk(a, b, 1000) }
      lowerB.close()
      let end = lowerB.takeOutgoing()
      if isDone, accepts {
        try a.feed(end)
        #expect(a.hasEnded)
      } else {
        do {
          try a.feed(end)
          Issue.record("the end went unnoticed")
        } catch let error as TLSError {
          #expect(error.code == (isDone ? .truncated : .handshake))
        }
      }
    }
  }
}
