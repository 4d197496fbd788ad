// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Transport contract: writing and flow control")
struct TransportContractWritingTests {
  @Test("a write into an empty buffer is one direct send, without write interest", arguments: PairKind.allCases)
  func sendsDirectly(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      let (sends, changes) = (kernel.count(of: .send), kernel.count(of: .modify))
      recorder.transport.write("ping")
      #expect(try peer.receiveNow() == Array("ping".utf8))
      #expect(recorder.transport.writeBufferSize == 0)
      try await loop.turn(3)
      #expect(kernel.count(of: .send) == sends + 1)
      #expect(kernel.count(of: .sendGathering) == 0)
      #expect(kernel.count(of: .modify) == changes)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("only the unsent tail is buffered, and goes out when there is room", arguments: PairKind.allCases)
  func buffersTheTail(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.limit(.send, toBytes: 3)
      recorder.transport.write("abcdefgh")
      #expect(recorder.transport.writeBufferSize == 5)
      #expect(try await peer.receive(8, on: loop) == Array("abcdefgh".utf8))
      try await loop.until { recorder.transport.writeBufferSize == 0 }
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("would-block buffers everything; one byte at a time keeps the order", arguments: PairKind.allCases)
  func shortWrites(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.wouldBlock, into: .sendGathering, times: 2)
      kernel.limit(.sendGathering, toBytes: 1)
      recorder.transport.write("first ")
      #expect(recorder.transport.writeBufferSize == 6)
      recorder.transport.write("second ")
      recorder.transport.writeLines([Array("third ".utf8), [], Array("fourth".utf8)])
      let text = "first second third fourth"
      #expect(recorder.transport.writeBufferSize == text.utf8.count)
      #expect(kernel.count(of: .send) == 1)
      recorder.transport.close()
      #expect(String(decoding: try await peer.receiveToEnd(on: loop), as: UTF8.self) == text)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test("what is written while bytes wait comes after them", arguments: PairKind.allCases)
  func keepsOrder(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      var sent: [UInt8] = []
      for number in 0..<180 {
        let part = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number * 150)
        sent += part
        if number % 3 == 0 {
          recorder.transport.writeLines([part, [], [UInt8(truncatingIfNeeded: number)]])
          sent.append(UInt8(truncatingIfNeeded: number))
        } else {
          recorder.transport.write(part)
        }
      }
      #expect(recorder.transport.writeBufferSize > 0)
      recorder.transport.close()
      #expect(try await peer.receiveToEnd(on: loop) == sent)
      try await loop.until { recorder.isLost }
    }
  }

  @Test(
    "writeLines sends many small chunks by one call, whatever of it the kernel takes", arguments: [0, 1, 5, 6, 7, 2999])
  func writeLines(_ taken: Int) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let lines = (0..<2000).map { number in [UInt8](repeating: UInt8(number & 255), count: number % 4) }
      if taken == 0 {
        kernel.inject(.wouldBlock, into: .sendGathering)
      } else {
        kernel.limit(.sendGathering, toBytes: taken)
      }
      recorder.transport.writeLines(lines)
      #expect(kernel.count(of: .sendGathering) == 1)
      #expect(recorder.transport.writeBufferSize == 3000 - taken)
      kernel.limit(.sendGathering, toBytes: nil)
      #expect(try await peer.receive(3000, on: loop) == Array(lines.joined()))
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("an empty write makes no call, and the caller's buffer is copied only as far as it has to wait")
  func emptyWriteAndCallersBuffer() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.transport.write([])
      recorder.transport.write("")
      recorder.transport.writeLines([])
      recorder.transport.writeLines([[], []])
      #expect(kernel.count(of: .send) + kernel.count(of: .sendGathering) == 0)

      kernel.inject(.wouldBlock, into: .send)
      var bytes = pattern(1000)
      let address = bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
      recorder.transport.write(bytes)
      // A buffer that shared the array would force a copy here, or see the change.
      bytes[0] = 255
      #expect(bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } == address)
      bytes[0] = pattern(1)[0]
      #expect(try await peer.receive(1000, on: loop) == bytes)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test(
    "a send error drops the buffer and schedules connectionLost with it; write does not throw",
    arguments: PairKind.allCases, [Errno.brokenPipe, .connectionReset])
  func sendError(_ kind: PairKind, _ code: Errno) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, _) = try await kind.transport(loop, kernel)
      kernel.inject(code, into: .send)
      recorder.watchingForInlineLoss { transport in
        transport.write("lost")
        #expect(transport.isClosing)
        transport.write("dropped")
        #expect(transport.writeBufferSize == 0)
      }
      #expect(!recorder.isLost)
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(code)])
      #expect(recorder.ioLoss?.operation == "send")
      #expect(!recorder.wasLostInline)
      #expect(errors.contexts.isEmpty)
    }
  }

  @Test("a send error while the buffer is flushed", arguments: PairKind.allCases)
  func flushError(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await kind.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.brokenPipe, into: .sendGathering)
      recorder.transport.write("waits")
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(.brokenPipe)])
      #expect(recorder.transport.writeBufferSize == 0)
    }
  }

  @Test("a peer that resets in the middle of a write", arguments: [PairKind.tcp, .tcpOverIPv6])
  func resetWhileWriting(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      recorder.transport.pauseReading()
      recorder.transport.write(pattern(plenty))
      #expect(recorder.transport.writeBufferSize > 0)
      peer.reset()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .lost(.connectionReset)])
      #expect(recorder.transport.writeBufferSize == 0)
      recorder.transport.write("late")
    }
  }

  @Test("writing to a closed peer ends the connection, not the process", arguments: PairKind.allCases)
  func writeToClosedPeer(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.pauseReading()
      peer.close()
      try await loop.until {
        recorder.transport.write("anybody there?")
        recorder.transport.writeLines([[1], [2]])
        return recorder.isLost
      }
      let code = recorder.ioLoss?.code
      #expect(code == .brokenPipe || code == .connectionReset)
      #expect(recorder.lossCount == 1)
    }
  }

  @Test("writes after the end are dropped, with one warning for the connection, at the fifth")
  func lateWrites() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let name = try #require(recorder.transport.remoteAddress).description
      recorder.onLost = { recorder.transport.write("from connectionLost") }
      recorder.transport.close()
      for _ in 0..<3 { recorder.transport.write("late") }
      try await loop.until { recorder.isLost }
      #expect(CapturedLog.matching(name).isEmpty)
      recorder.transport.writeLines([[1]])
      #expect(CapturedLog.matching(name).count == 1)
      for _ in 0..<100 { recorder.transport.write("late") }
      #expect(CapturedLog.matching(name) == ["warning: what is written to a closed connection (\(name)) is dropped"])
      #expect(try await peer.receiveToEnd(on: loop) == [])
      #expect(recorder.transport.writeBufferSize == 0)
    }
  }

  @Test("pause above high, resume at low, strictly in turn", arguments: PairKind.allCases)
  func flowControl(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      let transport = recorder.transport
      #expect(transport.writeBufferLimits == (16 * 1024, 64 * 1024))
      transport.setWriteBufferLimits(high: 100, low: 20)
      kernel.inject(.wouldBlock, into: .send, times: .max)
      kernel.inject(.wouldBlock, into: .sendGathering, times: .max)
      transport.write(pattern(100))
      #expect(recorder.calls == [.made])
      transport.write([1])
      #expect(recorder.calls == [.made, .pause])
      transport.write(pattern(500))
      #expect(recorder.calls == [.made, .pause])
      var sizes: [Int] = []
      recorder.onResume = { sizes.append(transport.writeBufferSize) }
      kernel.clearInjections()
      kernel.limit(.sendGathering, toBytes: 7)
      #expect(try await peer.receive(601, on: loop).count == 601)
      try await loop.until { transport.writeBufferSize == 0 }
      #expect(recorder.calls == [.made, .pause, .resume])
      #expect(sizes.count == 1 && sizes.allSatisfy { 13 < $0 && $0 <= 20 })
      transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a writer that obeys meets a slow reader, and everything arrives", arguments: PairKind.allCases)
  func obedientWriter(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      let block = pattern(50_000)
      var left = 40
      var isPaused = false
      var largest = 0
      func write() {
        while !isPaused, left > 0 {
          left -= 1
          recorder.transport.write(block)
          largest = max(largest, recorder.transport.writeBufferSize)
        }
        if left == 0 { recorder.transport.writeEOF() }
      }
      recorder.onPause = { isPaused = true }
      recorder.onResume = {
        isPaused = false
        write()
      }
      write()
      var received = 0
      try await loop.until {
        guard let part = try peer.receiveNow(maxBytes: 100_000) else { return false }
        received += part.count
        return part.isEmpty
      }
      #expect(received == 40 * block.count)
      #expect(largest <= 64 * 1024 + block.count)
      let signals = recorder.calls.filter { $0 == .pause || $0 == .resume }
      #expect(signals.count >= 2 && signals.count % 2 == 0)
      #expect(signals.enumerated().allSatisfy { $1 == ($0 % 2 == 0 ? .pause : .resume) })
      peer.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("limits take effect at once, also by pausing inline", arguments: PairKind.allCases)
  func limitsAtOnce(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await kind.transport(loop, kernel)
      let transport = recorder.transport
      kernel.inject(.wouldBlock, into: .send)
      transport.write(pattern(50))
      transport.setWriteBufferLimits(high: 49)
      #expect(recorder.calls == [.made, .pause])
      #expect(transport.writeBufferLimits == (12, 49))
      transport.setWriteBufferLimits(low: 50)
      #expect(transport.writeBufferLimits == (50, 200))
      #expect(recorder.calls == [.made, .pause, .resume])
      transport.setWriteBufferLimits(high: 0)
      #expect(recorder.calls == [.made, .pause, .resume, .pause])
      transport.setWriteBufferLimits()
      #expect(recorder.calls == [.made, .pause, .resume, .pause, .resume])
      transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("an error in pauseWriting or resumeWriting is reported, and the transport stays open")
  func flowControlErrors() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.onPause = { throw TestError(number: 1) }
      recorder.onResume = { throw TestError(number: 2) }
      recorder.transport.setWriteBufferLimits(high: 1, low: 0)
      kernel.inject(.wouldBlock, into: .send)
      recorder.transport.write("abc")
      #expect(try await peer.receive(3, on: loop) == Array("abc".utf8))
      try await loop.until { errors.contexts.count == 2 }
      #expect(errors.contexts.compactMap { $0.error as? TestError } == [TestError(number: 1), TestError(number: 2)])
      #expect(errors.messages[0].contains("pauseWriting") && errors.messages[1].contains("resumeWriting"))
      #expect(errors.contexts.allSatisfy { $0.protocol === recorder && $0.transport === recorder.transport })
      try peer.send("still here")
      try await loop.until { recorder.text == "still here" }
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }
}
