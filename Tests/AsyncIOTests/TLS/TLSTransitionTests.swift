// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// What a program may do at each turn of an encrypted connection's life, and what it is told.
@Suite struct TLSTransitionTests {
  /// A server's transport, and a client driven by hand that has sent nothing yet.
  private func accept(
    _ loop: EventLoop, _ kernel: TestKernel, _ recorder: Recorder,
    handshakeTimeout: Duration = ServerTLS.defaultHandshakeTimeout,
    shutdownTimeout: Duration = ServerTLS.defaultShutdownTimeout
  ) async throws -> (LoopTask<Void>, Peer, HandDrivenTLS) {
    let (near, far) = try await PairKind.tcp.make(loop, kernel)
    let (peer, tls) = (Peer(far), try serverTLS())
    recorder.peer = peer
    let accepting = loop.createTask {
      _ = try await loop.connectAcceptedSocket(
        { recorder }, socket: near,
        tls: .server(tls, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout))
    }
    return (accepting, peer, try HandDrivenTLS(clientTLS(), .client(serverName: "localhost")))
  }

  // MARK: In connectionMade

  @Test("A close in connectionMade sends what was written, and the goodbye")
  func closeInMade() throws {
    try runLoop { loop, kernel in
      let recorder = Recorder()
      recorder.onMade = { transport in
        #expect(transport.getExtraInfo(.tls)?.version == "TLSv1.3")
        transport.write("hello and ")
        transport.writeLines([octets("good"), octets("bye")])
        transport.close()
        #expect(transport.isClosing && !transport.isReading)
      }
      let (accepting, peer, hand) = try await accept(loop, kernel, recorder)
      try await hand.handshake(peer, on: loop)
      try await hand.run(peer, on: loop) { hand.hasEnded }
      #expect(hand.received == octets("hello and goodbye"))
      try await accepting.value
      try await loop.turn()
      #expect(recorder.calls == [.made])
      hand.close()
      try peer.send(hand.takeOutgoing())
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test(
    "An abort, and an error, in connectionMade end the connection with no word to the peer", arguments: [false, true])
  func endInMade(throwing: Bool) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = Recorder()
      recorder.onMade = { transport in
        if throwing { throw TestError(number: 7) }
        transport.abort()
      }
      let (accepting, peer, hand) = try await accept(loop, kernel, recorder)
      try await hand.handshake(peer, on: loop)
      try hand.send(octets("unheard"))
      try? peer.send(hand.takeOutgoing())
      try await loop.until { recorder.isLost }
      _ = try? await accepting.value
      #expect(recorder.calls == [.made, .lost(nil)] && recorder.testLoss == (throwing ? TestError(number: 7) : nil))
      #expect(errors.messages == (throwing ? ["error in a protocol's connectionMade"] : []))
      #expect(!hand.hasEnded)
    }
  }

  // MARK: The handshake

  @Test("Nothing is told of a connection that is not made: no information, and no data of the program's is taken")
  func duringHandshake() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let tls = try serverTLS()
      let securing = loop.createTask {
        _ = try await loop.startTLS(recorder.transport, recorder, .server(tls))
      }
      let hand = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
      try await loop.until { recorder.transport.tls != nil }
      #expect(recorder.transport.getExtraInfo(.tls) == nil && recorder.transport.getExtraInfo(.tlsContext) != nil)
      #expect(!recorder.transport.canWriteEOF)
      recorder.transport.pauseReading()
      recorder.transport.write("behind it")
      try await hand.handshake(peer, on: loop)
      try hand.send(octets("held back"))
      try await hand.run(peer, on: loop) { hand.received == octets("behind it") }
      try await securing.value
      #expect(recorder.transport.getExtraInfo(.tls)?.version == "TLSv1.3")
      try await loop.turn()
      #expect(recorder.calls == [.made])
      recorder.transport.resumeReading()
      try await loop.until { recorder.text == "held back" }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
      #expect(recorder.transport.getExtraInfo(.tls) == nil)
    }
  }

  @Test("A handshake goes through a kernel that takes and brings a few bytes at a time", arguments: [1, 100])
  func smallSteps(limit: Int) throws {
    try runLoop { loop, kernel in
      for call in [TestKernel.Call.send, .sendGathering, .receive] { kernel.limit(call, toBytes: limit) }
      let recorder = Recorder()
      let (accepting, peer, hand) = try await accept(loop, kernel, recorder)
      try await hand.handshake(peer, on: loop)
      try hand.send(octets("through"))
      try await hand.run(peer, on: loop) { recorder.text == "through" }
      try await accepting.value
      recorder.transport.write("back")
      try await hand.run(peer, on: loop) { hand.received == octets("back") }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("The limit of a handshake holds on a connection that was open before, to the second")
  func limitOfUpgrade() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, _) = try await PairKind.tcp.transport(loop, kernel)
      let tls = try clientTLS()
      let securing = loop.createTask {
        try await ioError {
          try await loop.startTLS(
            recorder.transport, recorder, .client(tls, serverHostname: "localhost", handshakeTimeout: .seconds(10)))
        }
      }
      try await loop.until { recorder.transport.tls != nil }
      kernel.advanceClock(by: .seconds(9))
      try await loop.turn()
      #expect(!recorder.isLost)
      kernel.advanceClock(by: .seconds(2))
      let error = try await securing.value
      #expect(error.code == .connectionAbort && error.operation == "TLS handshake")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.connectionAbort)] && errors.messages == [])
    }
  }

  @Test("Without limits given, a handshake has a minute, and a close half of one")
  func defaultLimits() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      let stage = try #require(test.recorder.transport.tls)
      #expect(stage.handshakeTimeout == .seconds(60) && stage.shutdownTimeout == .seconds(30))
      test.recorder.transport.abort()
      try await loop.until { test.recorder.isLost }
      let own = try await TLSEnd(loop, kernel, handshakeTimeout: .seconds(7), shutdownTimeout: .seconds(8))
      let ownStage = try #require(own.recorder.transport.tls)
      #expect(ownStage.handshakeTimeout == .seconds(7) && ownStage.shutdownTimeout == .seconds(8))
      own.recorder.transport.abort()
      try await loop.until { own.recorder.isLost }
    }
  }

  // MARK: The close

  @Test("What is written while a close still flushes goes out before our goodbye", arguments: [false, true])
  func writesWhileFlushing(lines: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let transport = test.recorder.transport
      let (first, second) = (pattern(plenty), pattern(100_000))
      var resumptions = 0
      test.recorder.onResume = {
        resumptions += 1
        // What is written here is over the mark, and brings another resumption.
        if resumptions > 1 { return }
        if lines { transport.writeLines([second]) } else { transport.write(second) }
        transport.write("the end")
      }
      transport.write(first)
      transport.close()
      transport.write("behind it,")
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      #expect(test.hand.received == first + octets("behind it,") + second + octets("the end"))
      #expect(resumptions > 0)
      // Behind the goodbye there is no more.
      transport.write("too late")
      #expect(transport.writeBufferSize == 0)
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.loss.map { $0 == nil } == true)
    }
  }

  @Test("A second close does not begin the time of the first anew")
  func closeTwice() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, shutdownTimeout: .seconds(9))
      test.recorder.transport.close()
      kernel.advanceClock(by: .seconds(6))
      try await loop.turn()
      test.recorder.transport.close()
      kernel.advanceClock(by: .seconds(4))
      try await loop.until { test.recorder.isLost }
      let bytes = try await test.peer.receiveToEnd(on: loop)
      #expect(records(in: bytes).count == 1, "more than one goodbye")
    }
  }

  @Test("A peer that stops reading while we flush has the limit from its last byte on, and no more")
  func stalledFlush() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true, shutdownTimeout: .seconds(10))
      test.recorder.transport.write(pattern(plenty))
      test.recorder.transport.close()
      // Without any progress it is over with the first limit.
      kernel.advanceClock(by: .seconds(9))
      try await loop.turn()
      #expect(!test.recorder.isLost)
      kernel.advanceClock(by: .seconds(2))
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.ioLoss?.code == .timedOut && test.recorder.ioLoss?.operation == "TLS shutdown")
    }
  }

  @Test("A goodbye that the kernel has no room for goes out later, and the answer is still waited for")
  func goodbyeLater() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.wouldBlock, into: .sendGathering)
      test.recorder.transport.close()
      #expect(!test.hand.hasEnded)
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      try await loop.turn()
      #expect(!test.recorder.isLost)
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test("The peer's goodbye before ours is out is no reason to leave ours unsent")
  func bothGoodbyes() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.wouldBlock, into: .sendGathering, times: 3)
      test.recorder.transport.close()
      try test.sendCloseNotify()
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test("What is written in eofReceived goes out before our goodbye; what comes behind the peer's is dropped")
  func answersGoodbye() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      test.recorder.onEOF = {
        test.recorder.transport.write("the last word")
        return false
      }
      test.hand.close()
      let goodbye = test.hand.takeOutgoing()
      try test.peer.send(goodbye + goodbye)
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      #expect(test.hand.received == octets("the last word"))
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("An error that eofReceived throws ends the connection, and is reported")
  func throwingEOF() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let test = try await TLSEnd(loop, kernel)
      test.recorder.onEOF = { throw TestError(number: 5) }
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.testLoss == TestError(number: 5) && test.recorder.calls == [.made, .eof, .lost(nil)])
      #expect(errors.messages == ["error in a protocol's eofReceived"])
    }
  }

  // MARK: Reading

  @Test("A failing receive on an open connection is told by connectionLost")
  func failingReceive() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      kernel.inject(.timedOut, into: .receive)
      try test.peer.send("x")
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(.timedOut)] && test.recorder.ioLoss?.operation == "recv")
    }
  }

  @Test("Pauses and resumptions in any number bring what is held once, and never inline")
  func manyResumptions() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (recorder, peer) = (Recorder(), Peer(far))
      recorder.peer = peer
      _ = try await loop.connectAcceptedSocket(
        { recorder }, socket: near, tls: ServerTLS(PlainTLS(piece: 5, piecesPerCall: 1)))
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("0123456789abcde")
      try await loop.until { recorder.text == "01234" }
      for _ in 0..<3 {
        recorder.transport.resumeReading()
        recorder.transport.pauseReading()
        recorder.transport.resumeReading()
      }
      #expect(recorder.text == "01234")
      try await loop.turn()
      #expect(recorder.text == "0123456789", "each resumption scheduled a delivery of its own")
      recorder.transport.abort()
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "0123456789")
    }
  }
}
