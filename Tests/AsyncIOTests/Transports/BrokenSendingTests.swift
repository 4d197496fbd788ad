// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// What had arrived before a send failed is delivered before the end is told.
@Suite struct BrokenSendingTests {
  @Test("What had arrived is delivered before a failed send is told", arguments: PairKind.allCases, [false, true])
  func delivered(kind: PairKind, later: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      if later { kernel.inject(.wouldBlock, into: .send) }
      kernel.inject(.brokenPipe, into: later ? .sendGathering : .send)
      try peer.send("request")
      recorder.watchingForInlineLoss { $0.write("answer") }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(.brokenPipe)] && recorder.text == "request")
      #expect(!recorder.wasLostInline && recorder.ioLoss?.operation == "send")
    }
  }

  @Test("A peer that resets the connection takes nothing back of what it had sent")
  func reset() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.transport.pauseReading()
      try peer.send(pattern(20_000))
      peer.reset()
      recorder.transport.write("nobody reads this")
      recorder.transport.write("nor this")
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
      #expect(recorder.received == pattern(20_000) && recorder.calls.first == .made)
      #expect(recorder.calls.count == 3 && recorder.ioLoss != nil)
    }
  }

  @Test("More than one turn's share is delivered whole, in turns that others share")
  func shares() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.socketPair.transport(loop, kernel)
      recorder.transport.pauseReading()
      try await peer.sendAll(pattern(150_000), on: loop)
      kernel.inject(.connectionReset, into: .send)
      kernel.limit(.receive, toBytes: 10_000)
      var turns = 0
      recorder.onData = { _ in turns += 1 }
      recorder.transport.write("x")
      recorder.transport.resumeReading()
      #expect(recorder.received.isEmpty, "delivered inline")
      var mostInOneTurn = 0
      while !recorder.isLost {
        let before = turns
        try await loop.sleep(for: .zero)
        mostInOneTurn = max(mostInOneTurn, turns - before)
      }
      #expect(recorder.received == pattern(150_000) && turns == 15 && mostInOneTurn <= 2)
      #expect(recorder.calls == [.made, .data, .lost(.connectionReset)])
    }
  }

  @Test("A pause holds back what had arrived, and the end behind it")
  func paused() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.transport.pauseReading()
      try peer.send("request")
      kernel.inject(.brokenPipe, into: .send)
      recorder.transport.write("x")
      try await loop.turn()
      kernel.advanceClock(by: .seconds(13))
      try await loop.turn()
      #expect(recorder.calls == [.made] && recorder.transport.isClosing && !recorder.transport.isReading)
      // A second pause has its own time.
      recorder.transport.resumeReading()
      recorder.transport.pauseReading()
      kernel.advanceClock(by: .seconds(13))
      try await loop.turn()
      #expect(recorder.calls == [.made])
      recorder.transport.resumeReading()
      #expect(recorder.calls == [.made], "delivered inline")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(.brokenPipe)] && recorder.text == "request")
    }
  }

  @Test("A pause in the middle of the rest holds back the other half")
  func pausedBetween() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      kernel.limit(.receive, toBytes: 4)
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("12345678")
      kernel.inject(.brokenPipe, into: .send)
      recorder.transport.write("x")
      try await loop.until { recorder.text == "1234" }
      try await loop.turn()
      #expect(recorder.calls == [.made, .data])
      recorder.transport.resumeReading()
      try await loop.until { recorder.text == "12345678" }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(.brokenPipe)])
    }
  }

  @Test("A program that has paused reading for good is told after a while, at once where nothing waits for it")
  func pausedForGood() throws {
    try runLoop { loop, kernel in
      for waits in [true, false] {
        let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
        recorder.transport.pauseReading()
        if waits { try peer.send("request") }
        kernel.inject(.brokenPipe, into: .send)
        recorder.transport.write("x")
        try await loop.turn()
        if waits {
          kernel.advanceClock(by: .seconds(19))
          try await loop.turn()
          #expect(!recorder.isLost)
          kernel.advanceClock(by: .seconds(2))
        }
        try await loop.until { recorder.isLost }
        #expect(recorder.calls == [.made, .lost(.brokenPipe)])
      }
    }
  }

  @Test("Whoever was told to pause writing is told to go on when what it waits for would wait for it")
  func resumesWriting() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      recorder.transport.pauseReading()
      try peer.send("request")
      recorder.transport.write(pattern(plenty))
      #expect(recorder.calls == [.made, .pause])
      kernel.inject(.connectionReset, into: .sendGathering)
      recorder.onResume = { recorder.transport.resumeReading() }
      try await loop.until {
        // Makes room, so that the transport sends.
        _ = try? peer.receiveNow()
        return recorder.isLost
      }
      #expect(recorder.calls == [.made, .pause, .resume, .data, .lost(.connectionReset)])
    }
  }

  @Test("Nothing is sent any more, and what is written is dropped")
  func writesAreDropped() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.onData = { _ in
        recorder.transport.write("late")
        recorder.transport.writeLines([[1], [2]])
        recorder.transport.writeEOF()
      }
      try peer.send("request")
      kernel.inject(.brokenPipe, into: .send)
      recorder.transport.write("x")
      #expect(recorder.transport.writeBufferSize == 0)
      let sends = kernel.count(of: .send)
      try await loop.until { recorder.isLost }
      #expect(kernel.count(of: .send) == sends && kernel.count(of: .sendGathering) == 0)
      #expect(kernel.count(of: .shutdownWrite) == 0)
      #expect(try await peer.receiveToEnd(on: loop) == [])
    }
  }

  @Test("A close, an abort, and a protocol that throws end it at once", arguments: ["close", "abort", "throw"])
  func endsEarly(way: String) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      kernel.limit(.receive, toBytes: 4)
      recorder.onData = { _ in
        switch way {
        case "close": recorder.transport.close()
        case "abort": recorder.transport.abort()
        default: throw TestError(number: 3)
        }
      }
      try peer.send("12345678")
      kernel.inject(.brokenPipe, into: .send)
      recorder.transport.write("x")
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "1234" && recorder.lossCount == 1)
      if way == "throw" {
        #expect(recorder.testLoss == TestError(number: 3) && errors.messages.count == 1)
      } else {
        #expect(recorder.ioLoss?.code == .brokenPipe && errors.messages == [])
      }
    }
  }

  @Test("A send that fails after the close ends the connection with its error")
  func afterClose() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      try peer.send("for nobody")
      kernel.inject(.wouldBlock, into: .send)
      recorder.transport.write("x")
      kernel.inject(.brokenPipe, into: .sendGathering)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.brokenPipe)])
    }
  }

  @Test("A loop that closes meanwhile lets go of everything", arguments: [false, true])
  func loopCloses(paused: Bool) throws {
    try withLoop { loop, kernel in
      let task = loop.createTask {
        let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
        if paused { recorder.transport.pauseReading() }
        try peer.send("request")
        kernel.inject(.brokenPipe, into: .send)
        recorder.transport.write("x")
        if paused { try await loop.turn() }
        peer.close()
        loop.stop()
      }
      try loop.runForever()
      withExtendedLifetime(task) {}
    }
  }

  @Test("A reader has all that had arrived, a writer's drain throws at once, with the reader full")
  func streams() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let peer = Peer(far)
      let (reader, writer) = try await loop.openConnection(socket: near, limit: 1000)
      let transport = try #require(writer.transport as? StreamTransport)
      let sent = pattern(30_000)
      kernel.limit(.receive, toBytes: 4000)
      try peer.send(sent)
      try await loop.until("the reader is full") { !transport.isReading }
      kernel.inject(.brokenPipe, into: .send)
      let error = try await ioError { try await writer.send("x") }
      #expect(error.code == .brokenPipe)
      #expect(try await reader.readExactly(sent.count) == sent)
      let end = try await ioError { try await reader.read() }
      #expect(end.code == .brokenPipe)
      await #expect(throws: IOError.self) { try await writer.waitClosed() }
      peer.close()
    }
  }

  @Test("A drain that waits for the peer throws as soon as nothing can be sent, with the reader full")
  func waitingDrain() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      for socket in [near, far] {
        try socket.setOption(.sendBufferSize, 64 * 1024)
        try socket.setOption(.receiveBufferSize, 64 * 1024)
      }
      let peer = Peer(far)
      let (reader, writer) = try await loop.openConnection(socket: near, limit: 1000)
      let transport = try #require(writer.transport as? StreamTransport)
      kernel.limit(.receive, toBytes: 4000)
      try peer.send(pattern(30_000))
      try await loop.until("the reader is full") { !transport.isReading }
      let draining = loop.createTask { try await ioError { try await writer.send(pattern(plenty)) }.code }
      try await loop.turn()
      kernel.inject(.connectionReset, into: .sendGathering)
      try await loop.until {
        _ = try? peer.receiveNow()
        return transport.isClosing
      }
      // No clock moves: it is not the end of the connection that it waits for.
      #expect(try await draining.value == .connectionReset)
      #expect(try await reader.readExactly(30_000) == pattern(30_000))
      await #expect(throws: IOError.self) { try await writer.waitClosed() }
      peer.close()
    }
  }

  @Test("A file that is on its way is told the send's error")
  func file() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let folder = try TemporaryFolder()
      let file = try folder.file(pattern(1000))
      defer { try? file.close() }
      recorder.transport.pauseReading()
      try peer.send("request")
      recorder.transport.write(pattern(plenty))
      let sending = loop.createTask {
        try await ioError { try await loop.sendFile(recorder.transport, file) }.code
      }
      try await loop.turn()
      kernel.inject(.connectionReset, into: .sendGathering)
      try await loop.until {
        _ = try? peer.receiveNow()
        return recorder.transport.isClosing
      }
      #expect(try await sending.value == .connectionReset)
      let refused = await thrown { try await loop.sendFile(recorder.transport, file) }
      #expect((refused as? EventLoopError)?.code == .transportState)
      #expect(!recorder.isLost)
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "request")
    }
  }
}
