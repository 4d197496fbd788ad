// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// How connections over TLS end.
@Suite struct TLSClosingTests {
  @Test("close sends what is buffered, then close_notify, and waits for the peer's")
  func closeWaits() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      test.recorder.transport.write(sent)
      test.recorder.transport.close()
      #expect(test.recorder.transport.isClosing && !test.recorder.transport.isReading)
      test.recorder.transport.write("still in time")
      try await test.hand.run(test.peer, on: loop, "close_notify comes") { test.hand.hasEnded }
      test.recorder.transport.write("too late")
      let all = sent + Array("still in time".utf8)
      #expect(test.hand.received.count == all.count && test.hand.received.elementsEqual(all))
      try await loop.turn(5)
      #expect(!test.recorder.isLost, "it did not wait for the peer")
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
      #expect(
        test.recorder.calls == [.made, .pause, .resume, .lost(nil)]
          || test.recorder.calls == [.made, .pause, .lost(nil)])
      #expect(try await test.peer.receiveToEnd(on: loop) == [])
      #expect(test.tls.living == 0, "the engine is kept")
    }
  }

  @Test("a peer that never answers the close runs into the time limit")
  func closeTimesOut() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, shutdownTimeout: .seconds(9))
      test.recorder.transport.close()
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      kernel.advanceClock(by: .seconds(8))
      try await loop.turn()
      #expect(!test.recorder.isLost)
      kernel.advanceClock(by: .seconds(2))
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.ioLoss?.code == .timedOut)
      #expect(test.recorder.ioLoss?.operation == "TLS shutdown")
    }
  }

  @Test("a peer that is slow to read after the close is waited for, one that stopped reading is not")
  func closeWithProgress() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true, shutdownTimeout: .seconds(3))
      let sent = pattern(4 * plenty)
      test.recorder.transport.write(sent)
      test.recorder.transport.close()
      for _ in 0..<4 {
        let left = test.recorder.transport.writeBufferSize
        let want = test.hand.received.count + 300_000
        try await test.hand.run(test.peer, on: loop) { test.hand.received.count >= want }
        try await loop.until { test.recorder.transport.writeBufferSize < left }
        kernel.advanceClock(by: .seconds(4))
        try await loop.turn()
        #expect(!test.recorder.isLost, "it was given up although it made progress")
      }
      // The progress of before the last alarm does not count for ever.
      kernel.advanceClock(by: .seconds(4))
      try await loop.turn()
      kernel.advanceClock(by: .seconds(4))
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.ioLoss?.code == .timedOut)
    }
  }

  @Test("a peer that was slow to read has its whole time for the answer as well")
  func closeAfterProgress() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true, shutdownTimeout: .seconds(9))
      test.recorder.transport.write(pattern(plenty))
      test.recorder.transport.close()
      kernel.advanceClock(by: .seconds(6))
      try await test.hand.run(test.peer, on: loop, "close_notify comes") { test.hand.hasEnded }
      kernel.advanceClock(by: .seconds(6))
      try await loop.turn()
      #expect(!test.recorder.isLost, "the time that the reading took is counted once more")
      kernel.advanceClock(by: .seconds(4))
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.ioLoss?.code == .timedOut)
    }
  }

  @Test("A peer that answers our close by an end of file, or a reset, is good enough", arguments: [false, true])
  func endInsteadOfNotify(resets: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      test.recorder.transport.close()
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      if resets { test.peer.reset() } else { test.peer.close() }
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(nil)])
      #expect(test.recorder.loss.map { $0 == nil } == true)
    }
  }

  @Test("the peer's close_notify ends reading; what is buffered still goes out, then ours")
  func peerCloses() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      test.recorder.transport.write(sent)
      try test.sendCloseNotify()
      try await loop.until { test.recorder.calls.contains(.eof) }
      #expect(!test.recorder.isLost && test.recorder.transport.isClosing)
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      #expect(test.hand.received == sent)
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls.last == .lost(nil))
      #expect(try await test.peer.receiveToEnd(on: loop) == [])
    }
  }

  @Test(
    "an end of file without close_notify is truncation, after the data before it; buffered data goes out")
  func truncation() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      try test.hand.send(octets("not all of it"))
      try test.peer.send(test.hand.takeOutgoing())
      try test.peer.shutDownWriting()
      test.recorder.transport.write(sent)
      try await loop.until { test.recorder.text == "not all of it" && test.recorder.transport.isClosing }
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      #expect(test.hand.received == sent)
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.tlsLoss?.code == .truncated)
      #expect(!test.recorder.calls.contains(.eof))
      #expect(test.recorder.tlsLoss?.reason.contains("without close_notify") == true)
    }
  }

  @Test("a stream that was cut short throws in the reader, unless the provider takes it for an end")
  func truncatedStream() throws {
    try runLoop { loop, kernel in
      let tls = try clientTLS()
      for accepts in [false, true] {
        let context = accepts ? try clientTLS { $0.insecurelyAcceptsTruncation = true } : tls
        let (server, accepted) = try await tlsServer(loop) { recorder in
          recorder.onMade = { transport in
            transport.write("half of")
            // Behind the transport's back: no close_notify.
            try LinuxKernel.shared.shutdownWrite(transport.socket.descriptor)
          }
        }
        let (reader, writer) = try await loop.openConnection(
          host: "127.0.0.1", port: server.port, tls: .client(context))
        if accepts {
          #expect(try await reader.read() == octets("half of"))
        } else {
          let error = try await tlsError { try await reader.read() }
          #expect(error.code == .truncated)
        }
        writer.transport.abort()
        try await loop.until { accepted.recorders[0].isLost }
        server.close()
      }
    }
  }

  @Test("data that came while reading was paused is delivered after the pause, and before the end")
  func pausedData() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      test.recorder.transport.pauseReading()
      try test.hand.send(octets("later"))
      test.hand.close()
      try test.peer.send(test.hand.takeOutgoing())
      try await loop.turn(5)
      #expect(test.recorder.calls == [.made])
      test.recorder.transport.resumeReading()
      #expect(test.recorder.calls == [.made], "delivered inline")
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .data, .eof, .lost(nil)])
      #expect(test.recorder.text == "later")
    }
  }

  /// A connection whose protocol pauses in `connectionMade`, and which holds data that came in one piece with the end of
  /// the handshake.
  private func makeHolding(
    _ loop: EventLoop, _ kernel: TestKernel, closes: Bool
  ) async throws -> (Recorder, Peer, HandDrivenTLS) {
    let (near, far) = try await PairKind.tcp.make(loop, kernel)
    let recorder = Recorder()
    let peer = Peer(far)
    recorder.peer = peer
    recorder.onMade = { $0.pauseReading() }
    let accepting = loop.createTask {
      _ = try await loop.connectAcceptedSocket({ recorder }, socket: near, tls: .server(serverTLS()))
    }
    let hand = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
    try hand.feed([])
    try peer.send(hand.takeOutgoing())
    try await loop.until {
      if let bytes = try peer.receiveNow() { try hand.feed(bytes) }
      return hand.isDone
    }
    try hand.send(octets("early"))
    if closes { hand.close() }
    try peer.send(hand.takeOutgoing())
    try await accepting.value
    return (recorder, peer, hand)
  }

  @Test("data in one piece with the end of the handshake waits for a protocol that pauses in connectionMade")
  func dataWithHandshake() throws {
    try runLoop { loop, kernel in
      let (recorder, _, _) = try await makeHolding(loop, kernel, closes: true)
      try await loop.turn(5)
      #expect(recorder.calls == [.made])
      recorder.transport.resumeReading()
      recorder.transport.pauseReading()
      try await loop.turn(3)
      #expect(recorder.calls == [.made], "delivered although paused again")
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
      #expect(recorder.text == "early")
    }
  }

  @Test("what is held goes before what the socket has by then")
  func heldFirst() throws {
    try runLoop { loop, kernel in
      let (recorder, peer, hand) = try await makeHolding(loop, kernel, closes: false)
      try hand.send(octets(" and late"))
      try peer.send(hand.takeOutgoing())
      try await loop.turn(3)
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost || recorder.received.count == 14 }
      #expect(recorder.text == "early and late")
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a close finds the peer's close_notify also among what is held")
  func closeWhileHolding() throws {
    try runLoop { loop, kernel in
      let (recorder, _, _) = try await makeHolding(loop, kernel, closes: true)
      recorder.transport.close()
      // The peer says nothing more, and no clock moves.
      try await loop.turn(5)
      #expect(recorder.calls == [.made, .lost(nil)])
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a damaged record is an error of TLS for the reader, after the data before it")
  func corruption() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let test = try await TLSEnd(loop, kernel)
      try test.hand.send(octets("fine"))
      let fine = test.hand.takeOutgoing()
      try test.hand.send(octets("damaged"))
      var damaged = test.hand.takeOutgoing()
      damaged[8] ^= 1
      try test.peer.send(fine + damaged)
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.text == "fine")
      #expect(test.recorder.calls == [.made, .data, .lost(nil)])
      #expect(test.recorder.tlsLoss?.code == .broken)
      #expect(test.recorder.tlsLoss?.reason.contains("bad record mac") == true)
      #expect(errors.messages == [])
      // The peer is told by an alert.
      let error = await thrown { try await test.hand.run(test.peer, on: loop) { false } }
      #expect((error as? TLSError)?.reason.contains("bad record mac") == true)
      #expect(test.tls.living == 0)
    }
  }

  @Test("data that comes after our close is ignored, and so are writes")
  func afterClose() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let test = try await TLSEnd(loop, kernel)
      test.recorder.transport.close()
      test.recorder.transport.write("nobody reads this")
      try test.hand.send(pattern(100_000))
      try await test.peer.sendAll(test.hand.takeOutgoing(), on: loop)
      try await loop.turn(3)
      #expect(!test.recorder.isLost)
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      #expect(test.hand.received == [])
      #expect(test.recorder.calls == [.made, .lost(nil)])
      #expect(errors.messages == [])
    }
  }

  @Test("abort says nothing: the peer sees a truncated stream", arguments: [false, true])
  func abort(afterClose: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      test.recorder.transport.write(pattern(plenty))
      if afterClose { test.recorder.transport.close() }
      test.recorder.watchingForInlineLoss { $0.abort() }
      #expect(test.recorder.transport.writeBufferSize == 0)
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .pause, .lost(nil)] && !test.recorder.wasLostInline)
      let bytes = try await test.peer.receiveToEnd(on: loop)
      try? test.hand.feed(bytes)
      #expect(!test.hand.hasEnded && test.hand.received.count < plenty)
      #expect(test.tls.living == 0)
    }
  }

  @Test("timers end with their phase: long after,  the connection still works")
  func timersEnd() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, handshakeTimeout: .seconds(2), shutdownTimeout: .seconds(2))
      #expect(loop.core.nextDeadline() == nil, "the handshake's timer is still there")
      kernel.advanceClock(by: .seconds(20))
      try await loop.turn()
      test.recorder.transport.write("still here")
      try await test.hand.run(test.peer, on: loop) { test.hand.received == octets("still here") }
      test.recorder.transport.close()
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .lost(nil)])
      test.recorder.forgetTransport()
      #expect(test.tls.living == 0)
    }
  }
}
