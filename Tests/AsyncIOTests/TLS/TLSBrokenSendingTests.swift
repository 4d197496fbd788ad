// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Sends that fail over TLS: what had arrived is delivered before the end is told, and a handshake that the peer counts
/// as done is done.
@Suite struct TLSBrokenSendingTests {
  /// A server's transport, and a client that has read the server's first flight: its own last one and what it likes to
  /// say behind it are still to be sent.
  private struct Meeting {
    let recorder = Recorder()
    let peer: Peer
    let hand: HandDrivenTLS
    let accepting: LoopTask<Void>

    init(
      _ loop: EventLoop, _ kernel: TestKernel, version: TLSContext.Configuration.Version = .tls13,
      _ onMade: ((StreamTransport) -> Void)? = nil
    ) async throws {
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (peer, recorder, tls) = (Peer(far), recorder, try serverTLS())
      recorder.peer = peer
      recorder.onMade = onMade
      accepting = loop.createTask {
        _ = try await loop.connectAcceptedSocket({ recorder }, socket: near, tls: .server(tls))
      }
      let hand = try HandDrivenTLS(
        clientTLS { $0.maximumVersion = version }, .client(serverName: "localhost"))
      try hand.feed([])
      try peer.send(hand.takeOutgoing())
      try await loop.until("the server's flight comes") {
        if let bytes = try peer.receiveNow() { try hand.feed(bytes) }
        return !hand.outgoing.isEmpty
      }
      (self.peer, self.hand) = (peer, hand)
    }
  }

  @Test(
    "A client that says something and leaves is heard, though nothing reaches it any more", arguments: [false, true])
  func leaves(saysGoodbye: Bool) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let test = try await Meeting(loop, kernel) { $0.write("welcome") }
      try test.hand.send(octets("request"))
      if saysGoodbye { test.hand.close() }
      try test.peer.send(test.hand.takeOutgoing())
      test.peer.close()
      try await test.accepting.value
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.text == "request")
      let calls = test.recorder.calls.map { call in if case .lost = call { Recorder.Call.lost(nil) } else { call } }
      #expect(calls == [.made, .data] + (saysGoodbye ? [.eof] : []) + [.lost(nil)])
      #expect(errors.messages == [])
    }
  }

  @Test("A client that resets after its first message has all of it delivered", arguments: [false, true])
  func resets(paused: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await Meeting(loop, kernel) { if paused { $0.pauseReading() } }
      try test.hand.send(pattern(20_000))
      try test.peer.send(test.hand.takeOutgoing())
      test.peer.reset()
      try await test.accepting.value
      if paused {
        try await loop.turn(5)
        #expect(test.recorder.calls == [.made])
        test.recorder.transport.resumeReading()
      }
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.received == pattern(20_000))
      // However the reset shows to a receive: the send's failure was first.
      #expect(test.recorder.calls.count == 3 && test.recorder.ioLoss?.operation == "send")
    }
  }

  @Test("Tickets that cannot be sent do not undo a handshake of TLS 1.3")
  func tickets() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let test = try await Meeting(loop, kernel)
      try test.hand.send(octets("request"))
      kernel.inject(.brokenPipe, into: .send)
      try test.peer.send(test.hand.takeOutgoing())
      try await test.accepting.value
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .data, .lost(.brokenPipe)] && test.recorder.text == "request")
      #expect(test.recorder.ioLoss?.operation == "send" && errors.messages == [])
    }
  }

  @Test("A server of TLS 1.2 whose last flight cannot be sent has no connection")
  func lastFlightOfServer() throws {
    try runLoop { loop, kernel in
      let test = try await Meeting(loop, kernel, version: .tls12)
      kernel.inject(.brokenPipe, into: .send)
      try test.peer.send(test.hand.takeOutgoing())
      let error = try await ioError { try await test.accepting.value }
      #expect(error.code == .connectionReset && error.operation == "TLS handshake")
      try await loop.turn()
      #expect(test.recorder.calls == [])
    }
  }

  @Test("A client whose last flight cannot be sent has no connection")
  func lastFlightOfClient() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (peer, recorder, tls) = (Peer(far), Recorder(), try clientTLS())
      kernel.inject(.brokenPipe, into: .send, skip: 1)
      let connecting = loop.createTask {
        try await ioError {
          _ = try await loop.createConnection(
            { recorder }, socket: near, tls: .client(tls, serverHostname: "localhost"))
        }
      }
      let hand = try HandDrivenTLS(serverTLS(), .server)
      try await loop.until("the client's hello comes") {
        if let bytes = try peer.receiveNow() { try hand.feed(bytes) }
        return !hand.outgoing.isEmpty
      }
      try peer.send(hand.takeOutgoing())
      let error = try await connecting.value
      #expect(error.code == .connectionReset && error.operation == "TLS handshake")
      try await loop.turn()
      #expect(recorder.calls == [])
      peer.close()
    }
  }

  @Test("A failure met while the handshake waits for room to send is the handshake's")
  func failingFlush() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (recorder, tls) = (Recorder(), try clientTLS())
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.noRouteToHost, into: .sendGathering)
      let error = try await ioError {
        _ = try await loop.createConnection({ recorder }, socket: near, tls: .client(tls, serverHostname: "localhost"))
      }
      #expect(error.code == .noRouteToHost && error.operation == "TLS handshake")
      try await loop.turn()
      #expect(recorder.calls == [])
      far.close()
    }
  }

  @Test("Data and the goodbye that had arrived come before the end", arguments: [false, true], [Int?.none, 700])
  func restOfConnection(later: Bool, receiving: Int?) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      // In pieces, of which each takes a turn.
      kernel.limit(.receive, toBytes: receiving)
      try test.hand.send(pattern(50_000))
      test.hand.close()
      test.recorder.transport.pauseReading()
      try await test.peer.sendAll(test.hand.takeOutgoing(), on: loop)
      if later { kernel.inject(.wouldBlock, into: .send) }
      kernel.inject(.connectionReset, into: later ? .sendGathering : .send)
      test.recorder.watchingForInlineLoss { $0.write("answer") }
      try await loop.until { test.recorder.transport.isClosing }
      #expect(test.recorder.calls == [.made] && test.recorder.transport.writeBufferSize == 0)
      test.recorder.transport.write("dropped")
      test.recorder.transport.resumeReading()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.received == pattern(50_000))
      #expect(test.recorder.calls == [.made, .data, .eof, .lost(.connectionReset)])
      #expect(test.tls.living == 0)
    }
  }

  @Test("An alert that had arrived says more than the failed send, and is what the end is told with")
  func alert() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      try test.hand.send(octets("fine"))
      var bytes = test.hand.takeOutgoing()
      try test.hand.send(octets("damaged"))
      bytes += test.hand.takeOutgoing()
      bytes[bytes.count - 1] ^= 1
      test.recorder.transport.pauseReading()
      try test.peer.send(bytes)
      kernel.inject(.brokenPipe, into: .send)
      test.recorder.transport.write("x")
      test.recorder.transport.resumeReading()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.text == "fine" && test.recorder.tlsLoss?.code == .broken)
    }
  }

  @Test("However what had arrived ends, the failed send is what the end is told with")
  func failingReceive() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      kernel.inject(.connectionReset, into: .receive)
      kernel.inject(.brokenPipe, into: .send)
      test.recorder.transport.write("x")
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(.brokenPipe)] && test.recorder.ioLoss?.operation == "send")
    }
  }

  @Test("A goodbye that the engine holds waits for a pause, with nothing in the kernel behind it")
  func heldGoodbye() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      test.recorder.onData = { _ in test.recorder.transport.pauseReading() }
      try test.hand.send(octets("last"))
      test.hand.close()
      try test.peer.send(test.hand.takeOutgoing())
      try await loop.until { test.recorder.text == "last" }
      kernel.inject(.brokenPipe, into: .send)
      test.recorder.transport.write("x")
      try await loop.turn(10)
      #expect(test.recorder.calls == [.made, .data])
      test.recorder.transport.resumeReading()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .data, .eof, .lost(.brokenPipe)])
    }
  }

  @Test(
    "Plaintext that the engine holds waits for a pause as well, and what the kernel holds behind it",
    arguments: [false, true])
  func heldPlaintext(readsAhead: Bool) throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (recorder, peer) = (Recorder(), Peer(far))
      recorder.peer = peer
      let tls = PlainTLS(piece: 5, piecesPerCall: 1, readsAhead: readsAhead)
      _ = try await loop.connectAcceptedSocket({ recorder }, socket: near, tls: ServerTLS(tls))
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("0123456789abc")
      try await loop.until { recorder.text == "01234" }
      kernel.inject(.brokenPipe, into: .send)
      recorder.transport.write("x")
      for text in ["01234", "0123456789", "0123456789abc"] {
        try await loop.until { recorder.text == text }
        try await loop.turn()
        #expect(recorder.text == text)
        // Behind the last piece there is nothing to wait for.
        #expect(recorder.calls.prefix(2) == [.made, .data] && recorder.isLost == (text.count == 13))
        recorder.transport.resumeReading()
      }
      #expect(recorder.calls == [.made, .data, .lost(.brokenPipe)])
    }
  }

  @Test("A goodbye that cannot be sent ends a close as well as one that was", arguments: [false, true])
  func failingGoodbye(later: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      if later { kernel.inject(.wouldBlock, into: .send) }
      kernel.inject(.brokenPipe, into: later ? .sendGathering : .send)
      test.recorder.watchingForInlineLoss { $0.close() }
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(nil)] && test.recorder.loss.map { $0 == nil } == true)
      #expect(!test.recorder.wasLostInline)
    }
  }
}
