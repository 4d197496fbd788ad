// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Transport contract: reading")
struct TransportContractReadingTests {
  @Test("all bytes arrive, in order, in pieces of 1 byte to 256 KiB", arguments: PairKind.allCases)
  func deliversEverything(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      let sent = pattern(3_000_000)
      try await peer.sendAll(sent, on: loop)
      try await loop.until { recorder.received.count == sent.count }
      #expect(recorder.received == sent)
      #expect(recorder.chunkSizes.allSatisfy { 1...(256 * 1024) ~= $0 })
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("would-block on receive is silent, single bytes arrive as well", arguments: PairKind.allCases)
  func shortReads(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .receive, times: 3)
      kernel.limit(.receive, toBytes: 1)
      try peer.send("one at a time")
      try await loop.until { recorder.text == "one at a time" }
      #expect(recorder.chunkSizes.allSatisfy { $0 == 1 })
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)])
    }
  }

  @Test("a read error ends the connection with that error", arguments: PairKind.allCases)
  func readError(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.inject(.connectionReset, into: .receive)
      try peer.send([1])
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(.connectionReset)])
      #expect(recorder.ioLoss?.operation == "recv")
      #expect(errors.contexts.isEmpty)
    }
  }

  @Test("a peer's reset is a reset", arguments: [PairKind.tcp, .tcpOverIPv6])
  func reset(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      let address = try #require(recorder.transport.remoteAddress)
      peer.reset()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.connectionReset)])
      #expect(
        recorder.ioLoss.map(\.description)
          == "recv \(address): Connection reset by peer (ECONNRESET)")
    }
  }

  @Test("end of file closes by default, after what is buffered went out", arguments: PairKind.allCases)
  func endOfFileCloses(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      recorder.transport.write(sent)
      try peer.shutDownWriting()
      try await loop.until { recorder.calls.contains(.eof) }
      #expect(recorder.transport.isClosing)
      #expect(!recorder.isLost)
      #expect(try await peer.receiveToEnd(on: loop) == sent)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls.filter { $0 == .eof }.count == 1)
      #expect(recorder.calls.last == .lost(nil))
    }
  }

  @Test("after end of file with keep-open reading stops and writing goes on", arguments: PairKind.allCases)
  func endOfFileKeepsOpen(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.onEOF = { true }
      try peer.send("request")
      try peer.shutDownWriting()
      try await loop.until { recorder.calls.contains(.eof) }
      let reads = kernel.count(of: .receive)
      #expect(!recorder.transport.isReading && !recorder.transport.isClosing)
      // The end stays readable, and must not wake the loop again and again.
      try await loop.expectIdle(kernel)
      recorder.transport.write("answer")
      #expect(try await peer.receive(6, on: loop) == Array("answer".utf8))
      recorder.transport.resumeReading()
      try await loop.turn(10)
      #expect(recorder.calls == [.made, .data, .eof])
      #expect(kernel.count(of: .receive) == reads)
      recorder.transport.close()
      #expect(try await peer.receiveToEnd(on: loop) == [])
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("what arrived before a hang-up is delivered before the end", arguments: PairKind.allCases)
  func drainsBeforeTheEnd(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.pauseReading()
      // Limits each read, so that the end is visible while there is still data.
      kernel.limit(.receive, toBytes: 1000)
      try peer.send(pattern(10_000))
      peer.close()
      try await loop.turn(5)
      #expect(recorder.calls == [.made])
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
      #expect(recorder.received == pattern(10_000))
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("a hang-up does not spin the loop while reading is paused", arguments: PairKind.allCases)
  func pausedHangUpDoesNotSpin(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.pauseReading()
      recorder.transport.writeEOF()
      peer.close()
      try await loop.turn(3)
      try await loop.expectIdle(kernel)
      #expect(recorder.calls == [.made])
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("an error of dataReceived or eofReceived is reported and closes with it", arguments: PairKind.allCases)
  func callbackErrors(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      for method in ["dataReceived", "eofReceived"] {
        let recorder = Recorder()
        recorder.onData = { _ in if method == "dataReceived" { throw TestError(number: 1) } }
        recorder.onEOF = { throw TestError(number: 2) }
        let (_, peer) = try await kind.transport(loop, kernel, recorder)
        try peer.send([1])
        if method == "eofReceived" { peer.close() }
        try await loop.until { recorder.isLost }
        try await loop.turn()
        #expect(recorder.lossCount == 1)
        let error = TestError(number: method == "dataReceived" ? 1 : 2)
        #expect(recorder.testLoss == error)
        let context = try #require(errors.contexts.last)
        #expect(context.message.contains(method))
        #expect(context.transport === recorder.transport)
        #expect(context.protocol === recorder)
        #expect(context.error as? TestError == error)
      }
      #expect(errors.contexts.count == 2)
    }
  }

  @Test("pauseReading inside dataReceived stops delivery until resumeReading", arguments: PairKind.allCases)
  func pauseAndResume(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.limit(.receive, toBytes: 4)
      recorder.onData = { _ in recorder.transport.pauseReading() }
      try peer.send("abcdefgh")
      try await loop.until { !recorder.received.isEmpty }
      try await loop.turn(5)
      #expect(recorder.text == "abcd")
      #expect(!recorder.transport.isReading)
      recorder.transport.pauseReading()
      recorder.transport.resumeReading()
      #expect(recorder.transport.isReading)
      try await loop.until { recorder.received.count > 4 }
      #expect(recorder.text == "abcdefgh")
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a pause and a resume before the next poll lose nothing", arguments: PairKind.allCases)
  func pauseThenResumeAtOnce(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.pauseReading()
      try peer.send([7])
      recorder.transport.resumeReading()
      try await loop.until { recorder.received == [7] }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("pauseReading inside connectionMade holds back what is there already", arguments: PairKind.allCases)
  func pauseInConnectionMade(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (near, far) = try await kind.make(loop, kernel)
      let peer = Peer(far)
      try peer.send("early")
      let recorder = Recorder()
      recorder.onMade = { $0.pauseReading() }
      _ = try await loop.createConnection({ recorder }, socket: near)
      try await loop.turn(5)
      #expect(recorder.calls == [.made])
      recorder.transport.resumeReading()
      try await loop.until { recorder.text == "early" }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("no data after close or abort, also from inside dataReceived", arguments: PairKind.allCases)
  func noDataAfterClose(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      for aborts in [false, true] {
        let (recorder, peer) = try await kind.transport(loop, kernel)
        kernel.limit(.receive, toBytes: 1)
        recorder.onData = { _ in aborts ? recorder.transport.abort() : recorder.transport.close() }
        try peer.send([1, 2, 3])
        try await loop.until { recorder.isLost }
        try await loop.turn()
        #expect(recorder.received == [1])
        #expect(recorder.calls == [.made, .data, .lost(nil)])
        kernel.limit(.receive, toBytes: nil)
      }
    }
  }
}
