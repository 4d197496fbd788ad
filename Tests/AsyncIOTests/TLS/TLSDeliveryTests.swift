// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// How a transport hands out what an engine has, step by step, whatever the protocol does meanwhile.
@Suite struct TLSDeliveryTests {
  private func connect(
    _ loop: EventLoop, _ kernel: TestKernel, _ tls: PlainTLS, _ recorder: Recorder = Recorder()
  ) async throws -> (Recorder, Peer) {
    let (near, far) = try await PairKind.tcp.make(loop, kernel)
    let peer = Peer(far)
    recorder.peer = peer
    _ = try await loop.connectAcceptedSocket({ recorder }, socket: near, tls: ServerTLS(tls))
    return (recorder, peer)
  }

  @Test(
    "a handshake that begins in dataReceived, and needs no more than what is there, is done at once"
  )
  func handshakeInsideDelivery() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (recorder, peer) = (Recorder(), Peer(far))
      var order: [String] = []
      recorder.onData = { bytes in
        order.append(String(decoding: bytes, as: UTF8.self))
        guard order.count == 1 else { return }
        loop.createTask(eager: true) {
          try await loop.startTLS(
            recorder.transport, recorder, ServerTLS(PlainTLS(piece: 5)), received: octets("inner"))
        }
        order.append("begun")
      }
      _ = try await loop.createConnection({ recorder }, socket: near)
      try peer.send("outer")
      try await loop.until { order.count == 3 }
      #expect(order == ["outer", "inner", "begun"])
      try peer.send("later")
      try await loop.until { order.last == "later" }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
      peer.close()
    }
  }

  @Test("a failure that was received together with data waits behind the pause that the data brought")
  func failureBehindPause() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await connect(loop, kernel, PlainTLS(piece: 5))
      recorder.onData = { _ in recorder.transport.pauseReading() }
      kernel.inject(.connectionReset, into: .receive, skip: 1)
      try peer.send("hello")
      try await loop.until { recorder.text == "hello" }
      #expect(kernel.count(of: .receive) == 2, "the failure came later than the test wants")
      try await loop.turn()
      #expect(recorder.calls == [.made, .data], "told although reading is paused")
      recorder.transport.resumeReading()
      #expect(recorder.calls == [.made, .data], "told inline")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(.connectionReset)])
      #expect(recorder.ioLoss?.operation == "recv")
    }
  }

  @Test(
    "an end of file received together with data waits as well; a close meanwhile takes it for the answer",
    arguments: [false, true])
  func endBehindPause(closes: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await connect(loop, kernel, PlainTLS(piece: 5))
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("hello")
      try peer.shutDownWriting()
      try await loop.until { recorder.text == "hello" }
      try await loop.turn()
      #expect(recorder.calls == [.made, .data], "told although reading is paused")
      if closes { recorder.transport.close() } else { recorder.transport.resumeReading() }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)])
      #expect(recorder.tlsLoss?.code == (closes ? nil : .truncated))
      #expect(try await peer.receiveToEnd(on: loop) == [4])
    }
  }

  @Test("an end of file that the engine met with plaintext in hand waits for all of that, and for the pauses")
  func endBehindPieces() throws {
    try runLoop { loop, kernel in
      let tls = PlainTLS(piece: 5, piecesPerCall: 1, readsAhead: true)
      let (recorder, peer) = try await connect(loop, kernel, tls)
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("0123456789abcde")
      try peer.shutDownWriting()
      for text in ["01234", "0123456789", "0123456789abcde"] {
        try await loop.until { recorder.text == text || recorder.isLost }
        try await loop.turn()
        #expect(recorder.text == text && recorder.calls == [.made, .data])
        recorder.transport.resumeReading()
      }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)] && recorder.tlsLoss?.code == .truncated)
    }
  }

  @Test("An end of file received together with data comes after it, to a protocol that goes on reading")
  func endBehindData() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await connect(loop, kernel, PlainTLS(piece: 5))
      try peer.send("hello")
      try peer.shutDownWriting()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)])
      #expect(recorder.text == "hello" && recorder.tlsLoss?.code == .truncated)
    }
  }

  @Test("a pause, a close, or an abort in dataReceived is the end of the delivery, with more at hand")
  func stopsBetweenPieces() throws {
    for action in [{ $0.pauseReading() }, { $0.close() }, { $0.abort() }] as [(StreamTransport) -> Void] {
      try runLoop { loop, kernel in
        let (recorder, peer) = try await connect(loop, kernel, PlainTLS(piece: 5, piecesPerCall: 1))
        recorder.onData = { _ in action(recorder.transport) }
        try peer.send("0123456789abc")
        try await loop.until { !recorder.received.isEmpty }
        try await loop.turn()
        #expect(recorder.text == "01234")
        recorder.transport.abort()
        try await loop.until { recorder.isLost }
        #expect(recorder.calls == [.made, .data, .lost(nil)])
      }
    }
  }

  @Test("each piece may be followed by a pause, the goodbye waits behind the last")
  func pausesAfterEachPiece() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await connect(loop, kernel, PlainTLS(piece: 5, piecesPerCall: 1))
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("0123456789abc\u{4}")
      for text in ["01234", "0123456789", "0123456789abc"] {
        try await loop.until { recorder.text == text }
        try await loop.turn()
        #expect(recorder.text == text && recorder.calls == [.made, .data])
        recorder.transport.resumeReading()
      }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
      #expect(recorder.chunkSizes == [5, 5, 3])
    }
  }

  @Test("What an engine sends in answer to what it reads goes out also when the kernel takes it later, or it fails")
  func answersWhileReading() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await connect(loop, kernel, PlainTLS(piece: 5, acknowledges: true))
      kernel.inject(.wouldBlock, into: .send)
      try peer.send("hey")
      #expect(try await peer.receive(1, on: loop) == [6])
      #expect(recorder.text == "hey")
      kernel.inject(.brokenPipe, into: .send)
      try peer.send("you")
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "heyyou")
      #expect(recorder.calls == [.made, .data, .lost(.brokenPipe)])
    }
  }

  @Test("A close in dataReceived leaves the bytes alone that the protocol is looking at")
  func spanStays() throws {
    try runLoop { loop, kernel in
      let recorder = CloserWhileLooking()
      let (_, peer) = try await connect(loop, kernel, PlainTLS(piece: 5, piecesPerCall: 1), recorder)
      try peer.send("0123456789\u{4}")
      try await loop.until { recorder.isLost }
      #expect(recorder.before == octets("01234") && recorder.after == recorder.before)
      #expect(recorder.calls == [.made, .lost(nil)])
    }
  }
}

/// Closes its transport as soon as it is given something, and looks at that again.
private final class CloserWhileLooking: Recorder {
  private(set) var before: [UInt8] = []
  private(set) var after: [UInt8] = []

  override func dataReceived(_ data: Span<UInt8>) throws {
    before = [UInt8](copying: data)
    transport.close()
    after = [UInt8](copying: data)
  }
}
