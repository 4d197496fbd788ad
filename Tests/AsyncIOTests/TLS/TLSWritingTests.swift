// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// What is written over TLS: records, water marks, failures.
@Suite struct TLSWritingTests {
  @Test("water marks count plaintext, strictly above high and at low or less")
  func waterMarks() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let transport = test.recorder.transport
      transport.setWriteBufferLimits(high: 100_000, low: 50_000)
      var written = 0
      let block = pattern(10_000)
      while !test.recorder.calls.contains(.pause), written < 10 * plenty {
        let before = transport.writeBufferSize
        transport.write(block)
        written += block.count
        let after = transport.writeBufferSize
        #expect(after <= before + block.count, "more is buffered than was written")
        #expect((after > 100_000) == test.recorder.calls.contains(.pause))
      }
      var sizeAtResume: Int?
      test.recorder.onResume = { sizeAtResume = transport.writeBufferSize }
      try await test.hand.run(test.peer, on: loop) { test.hand.received.count == written }
      #expect(test.recorder.calls == [.made, .pause, .resume])
      #expect(try #require(sizeAtResume) <= 50_000)
      #expect(transport.writeBufferSize == 0)
      try await test.end(loop)
    }
  }

  @Test("setting limits below what is buffered pauses at once")
  func limits() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let transport = test.recorder.transport
      transport.setWriteBufferLimits(high: 10 * plenty)
      transport.write(pattern(plenty))
      #expect(test.recorder.calls == [.made])
      transport.setWriteBufferLimits(high: 1000)
      #expect(test.recorder.calls == [.made, .pause])
      transport.abort()
      try await loop.until { test.recorder.isLost }
    }
  }

  @Test("Small writes to a slow peer share records, in order")
  func joinedRecords() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let transport = test.recorder.transport
      let bulk = pattern(plenty)
      transport.write(bulk)
      var expected = bulk
      for number in 0..<3000 {
        let word = octets("word \(number),")
        transport.write(word)
        expected += word
      }
      var wire: [UInt8] = []
      try await loop.until {
        while let bytes = try test.peer.receiveNow() {
          wire += bytes
          try test.hand.feed(bytes)
        }
        return test.hand.received.count == expected.count
      }
      #expect(test.hand.received == expected)
      // 34 KB of words are three records of 16 KiB at best, and 3,000 at worst.
      let count = records(in: wire).count { $0.type == 23 }
      #expect(count < bulk.count / 16_384 + 20, "\(count) records")
      try await test.end(loop)
    }
  }

  @Test("A large write is cut into records of 16 KiB, and those are sent by few system calls")
  func cutRecords() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      let before = kernel.count(of: .send)
      test.recorder.transport.write(pattern(100_000))
      #expect(kernel.count(of: .send) - before == 2)
      var wire: [UInt8] = []
      try await loop.until {
        while let bytes = try test.peer.receiveNow() {
          wire += bytes
          try test.hand.feed(bytes)
        }
        return test.hand.received.count == 100_000
      }
      #expect(test.hand.received == pattern(100_000))
      let lengths = records(in: wire).map(\.length)
      #expect(lengths.count == 7 && lengths.allSatisfy { $0 <= 16_384 + 256 }, "\(lengths)")
      try await test.end(loop)
    }
  }

  @Test("writeLines puts its chunks into one record, and one system call")
  func writeLines() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      let before = kernel.count(of: .send)
      test.recorder.transport.writeLines([octets("one "), [], octets("two "), octets("three")])
      #expect(kernel.count(of: .send) - before == 1)
      test.recorder.transport.writeLines([])
      test.recorder.transport.writeLines([[]])
      test.recorder.transport.write([])
      #expect(kernel.count(of: .send) - before == 1, "nothing became a record")
      let wire = try await test.peer.receive(5 + 13 + 17, on: loop)
      #expect(records(in: wire).count == 1)
      try test.hand.feed(wire)
      #expect(test.hand.received == octets("one two three"))
      try await test.end(loop)
    }
  }

  @Test("writeLines more than the kernel takes pauses, and arrives in order")
  func manyLines() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let lines = (0..<150).map { _ in pattern(20_000) }
      test.recorder.transport.writeLines(lines)
      #expect(test.recorder.calls == [.made, .pause])
      test.recorder.transport.writeLines([octets("the end")])
      let expected = Array(lines.joined()) + octets("the end")
      try await test.hand.run(test.peer, on: loop) { test.hand.received.count == expected.count }
      #expect(test.hand.received == expected)
      #expect(test.recorder.calls == [.made, .pause, .resume])
      try await test.end(loop)
    }
  }

  @Test("bytes sent a few at a time arrive whole", arguments: [1, 7, 1000])
  func shortSends(limit: Int) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      kernel.limit(.send, toBytes: limit)
      kernel.limit(.sendGathering, toBytes: limit)
      let sent = pattern(300 + limit * 30)
      test.recorder.transport.write(sent)
      #expect(test.recorder.transport.writeBufferSize > 0)
      try await test.hand.run(test.peer, on: loop) { test.hand.received.count == sent.count }
      #expect(test.hand.received == sent)
      kernel.limit(.send, toBytes: nil)
      kernel.limit(.sendGathering, toBytes: nil)
      try await test.end(loop)
    }
  }

  @Test("What waited goes out in shares with others' turns between, and what is written meanwhile comes behind it")
  func shares() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      let transport = test.recorder.transport
      let bulk = pattern(20 * TLSStage.chunk)
      kernel.inject(.wouldBlock, into: .send)
      transport.write(bulk)
      let start = kernel.count(of: .send)
      var (last, largest) = (start, 0)
      var late: [UInt8] = []
      // Each time once round.
      for _ in 0..<30 {
        try await loop.sleep(for: .zero)
        let now = kernel.count(of: .send)
        largest = max(largest, now - last)
        if now > start, late.isEmpty {
          late = octets("in between")
          transport.write(late)
        }
        last = kernel.count(of: .send)
      }
      #expect(!late.isEmpty && largest <= TLSStage.chunksPerTurn, "\(largest) chunks in one turn")
      try await test.hand.run(test.peer, on: loop) { test.hand.received.count == bulk.count + late.count }
      #expect(test.hand.received == bulk + late)
      try await test.end(loop)
    }
  }

  @Test("a failing send is told by connectionLost", arguments: [false, true])
  func failingSend(later: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: later)
      if later { test.recorder.transport.write(pattern(plenty)) }
      kernel.inject(.brokenPipe, into: later ? .sendGathering : .send)
      if later {
        try await test.hand.run(test.peer, on: loop) { test.recorder.isLost }
      } else {
        test.recorder.watchingForInlineLoss { $0.write("x") }
        #expect(!test.recorder.wasLostInline)
        try await loop.until { test.recorder.isLost }
      }
      #expect(test.recorder.ioLoss?.code == .brokenPipe)
      #expect(test.recorder.lossCount == 1)
    }
  }

  @Test("An engine that fails to encrypt ends the connection with its error", arguments: [0, 3])
  func failingEngine(after count: Int) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      test.tls.failEncryption(after: count)
      test.recorder.watchingForInlineLoss { $0.write(pattern(3 * plenty)) }
      try await test.hand.run(test.peer, on: loop) { test.recorder.isLost }
      #expect(test.recorder.tlsLoss?.reason.contains("as the test wants it") == true)
      #expect(!test.recorder.wasLostInline)
      #expect(test.tls.living == 0)
    }
  }

  @Test("a protocol's own buffer is filled with plaintext, however small it is", arguments: [1, 100, 100_000])
  func bufferedProtocol(size: Int) throws {
    try runLoop { loop, kernel in
      let recorder = BufferRecorder(size: size)
      let test = try await TLSEnd(loop, kernel, recorder: recorder)
      let count = min(size * 1000, 150_000)
      try test.hand.send(pattern(count))
      try await test.peer.sendAll(test.hand.takeOutgoing(), on: loop)
      try await loop.until { recorder.filled.count == count }
      #expect(recorder.filled == pattern(count))
      #expect(recorder.received == [])
      try await test.end(loop)
      #expect(recorder.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("A protocol that has itself replaced while its buffer is filled is told of that, the next one of what follows")
  func replacedWhileFilled() throws {
    try runLoop { loop, kernel in
      let (recorder, next) = (BufferRecorder(size: 5), Recorder())
      let test = try await TLSEnd(loop, kernel, recorder: recorder)
      recorder.onFill = { $0.transport.setProtocol(next) }
      try test.hand.send(octets("0123456789"))
      try test.peer.send(test.hand.takeOutgoing())
      try await loop.until { recorder.filled.count + next.received.count == 10 }
      #expect(recorder.filled == octets("01234") && next.text == "56789")
      try test.sendCloseNotify()
      try await loop.until { next.isLost }
      recorder.forgetTransport()
    }
  }

  @Test("a pause stops delivery at once, also of what was decrypted and not yet delivered")
  func pauseBetweenPieces() throws {
    try runLoop { loop, kernel in
      let recorder = BufferRecorder(size: 10)
      recorder.onUpdate = { $0.transport.pauseReading() }
      let test = try await TLSEnd(loop, kernel, recorder: recorder)
      try test.hand.send(octets("0123456789abcdefghijKLMNO"))
      test.hand.close()
      try test.peer.send(test.hand.takeOutgoing())
      for part in ["0123456789", "0123456789abcdefghij", "0123456789abcdefghijKLMNO"] {
        try await loop.until { recorder.filled == octets(part) }
        try await loop.turn(3)
        #expect(recorder.filled == octets(part) && recorder.calls == [.made])
        recorder.transport.resumeReading()
      }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("an empty buffer closes the connection with an error that is reported")
  func emptyBuffer() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = BufferRecorder(size: 0)
      var fills = 0
      recorder.onFill = { _ in
        fills += 1
        // Else a transport that tries again would never be done.
        if fills > 10 { throw TestError() }
      }
      let test = try await TLSEnd(loop, kernel, recorder: recorder)
      try test.hand.send(octets("x"))
      try test.peer.send(test.hand.takeOutgoing())
      try await loop.until { recorder.isLost }
      #expect(errors.messages == ["error in a protocol's withBuffer"] && fills == 1)
    }
  }

  @Test("an error that dataReceived throws closes the connection with it, and is reported")
  func throwingProtocol() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let test = try await TLSEnd(loop, kernel)
      test.recorder.onData = { _ in throw TestError(number: 4) }
      try test.hand.send(octets("x"))
      try test.peer.send(test.hand.takeOutgoing())
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.testLoss == TestError(number: 4))
      #expect(errors.messages == ["error in a protocol's dataReceived"])
    }
  }

  @Test("a file is copied over TLS; without fallback that fails; writes go before and after")
  func sendFile() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let content = pattern(700_000)
      let file = try folder.file(content)
      defer { try? file.close() }
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let transport = test.recorder.transport
      let refused = await thrown { try await loop.sendFile(transport, file, fallback: false) }
      #expect((refused as? EventLoopError)?.code == .sendFileNotAvailable)
      #expect(try file.seek(offset: 0, from: .current) == 0)
      transport.write("before")
      let sending = loop.createTask { try await loop.sendFile(transport, file, offset: 1000, count: 600_000) }
      let expected = octets("before") + content[1000..<601_000]
      try await test.hand.run(test.peer, on: loop) { test.hand.received.count == expected.count }
      #expect(try await sending.value == 600_000)
      #expect(try file.seek(offset: 0, from: .current) == 601_000)
      transport.write("after")
      try await test.hand.run(test.peer, on: loop) { test.hand.received.count == expected.count + 5 }
      #expect(test.hand.received == expected + octets("after"))
      #expect(kernel.count(of: .sendFile) == 0, "the kernel would have sent plaintext")
      // A file that is on its way is waited for by the close.
      let last = loop.createTask { try await loop.sendFile(transport, file) }
      try await loop.turn(3)
      transport.close()
      try await test.hand.run(test.peer, on: loop) { test.hand.hasEnded }
      #expect(try await last.value == content.count)
      #expect(test.hand.received.suffix(content.count) == content[...])
      try test.sendCloseNotify()
      try await loop.until { test.recorder.isLost }
    }
  }
}

/// A recorder that brings its own buffer.
private final class BufferRecorder: Recorder, BufferedProtocol {
  private var buffer: [UInt8]
  var filled: [UInt8] = []
  var onUpdate: ((BufferRecorder) -> Void)?
  var onFill: ((BufferRecorder) throws -> Void)?

  init(size: Int) { buffer = [UInt8](repeating: 0, count: size) }

  func withBuffer(sizeHint: Int, _ body: (inout MutableSpan<UInt8>) throws -> Void) throws {
    try onFill?(self)
    try buffer.withMutableSpan(body)
  }

  func bufferUpdated(_ count: Int) throws {
    filled += buffer[..<count]
    onUpdate?(self)
  }
}
