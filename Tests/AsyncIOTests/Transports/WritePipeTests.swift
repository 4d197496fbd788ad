// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Write pipe transport")
struct WritePipeTests {
  @Test("the reader's going away is noticed without a write", arguments: PipeKind.watchingTheReader)
  func noticesTheEnd(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.writer(loop, kernel)
      let descriptor = try #require(recorder.transport.getExtraInfo(.pipe))
      recorder.transport.write("read or not")
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
      #expect(recorder.loss! == nil && recorder.transport.isClosing)
      #expect(!kernel.openDescriptors.contains(descriptor.rawValue), "closed right after connectionLost")
    }
  }

  @Test("with bytes buffered, the reader's going away is a broken pipe", arguments: PipeKind.allCases)
  func brokenPipe(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kind.open()
      kernel.enrol(writing)
      let peer = PipePeer(reading, kernel)
      let recorder = WriteRecorder()
      _ = try await loop.connectWritePipe({ recorder }, writing)
      recorder.transport.write(pattern(plenty))
      #expect(recorder.transport.writeBufferSize > 0)
      // Closed by the program, and not flushed yet: still an error, since the bytes are lost.
      recorder.transport.close()
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls.last == .lost(.brokenPipe))
      #expect(recorder.transport.writeBufferSize == 0)
    }
  }

  @Test("a pipe that waits for its reader's end does not keep the loop busy", arguments: PipeKind.allCases)
  func doesNotSpin(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await kind.writer(loop, kernel)
      recorder.transport.write("there is room for more")
      try await loop.expectIdle(kernel)
      recorder.transport.close()
    }
  }

  @Test("bytes arrive in order, through partial writes and flow control", arguments: PipeKind.allCases)
  func arrives(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      // More than any of them holds; putting the parts together costs the square of it.
      let count = kind == .terminal ? 100_000 : 300_000
      let (recorder, peer) = try await kind.writer(loop, kernel)
      for call in [TestKernel.Call.write, .send] { kernel.limit(call, toBytes: 1000) }
      for call in [TestKernel.Call.writeGathering, .sendGathering] { kernel.limit(call, toBytes: 30_000) }
      let bytes = pattern(count)
      recorder.transport.write(Array(bytes[..<70_000]))
      #expect(recorder.calls == [.made, .pause])
      recorder.transport.writeLines([[], Array(bytes[70_000..<80_000]), Array(bytes[80_000...])])
      #expect(try await peer.receive(count, on: loop) == bytes)
      try await loop.until { recorder.transport.writeBufferSize == 0 }
      #expect(recorder.calls == [.made, .pause, .resume])
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .resume, .lost(nil)])
    }
  }

  @Test("several chunks go out by one call", arguments: [PipeKind.pipe, .socketPair])
  func gathers(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.writer(loop, kernel)
      recorder.transport.writeLines([[1], [], [2, 3]])
      recorder.transport.writeLines([[], []])
      recorder.transport.writeLines([])
      recorder.transport.write([UInt8]())
      #expect(kernel.count(of: kind == .socketPair ? .sendGathering : .writeGathering) == 1)
      #expect(try await peer.receive(3, on: loop) == [1, 2, 3])
    }
  }

  @Test("a write that would block is buffered", arguments: [Errno.wouldBlock, .noBufferSpace])
  func wouldBlock(_ code: Errno) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      kernel.inject(code, into: .write)
      recorder.transport.write("one ")
      if code == .wouldBlock {
        #expect(recorder.transport.writeBufferSize == 4)
        kernel.inject(.wouldBlock, into: .writeGathering)
        recorder.transport.write("two")
        #expect(kernel.count(of: .write) == 1, "what is buffered goes first")
        #expect(try await peer.receive(7, on: loop) == Array("one two".utf8))
        recorder.transport.close()
      } else {
        #expect(recorder.calls == [.made], "never from inside write")
        try await loop.until { recorder.isLost }
        #expect(recorder.ioLoss == IOError(.noBufferSpace, "write", recorder.ioLoss?.subject))
      }
    }
  }

  @Test("writes after the end are dropped, with one warning for the pipe, at the fifth")
  func lateWrites() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      // No other test writes so much to a pipe that is closed.
      let warnings = CapturedLog.matching("what is written to a closed pipe").count
      recorder.onLost = { recorder.transport.write("from connectionLost") }
      recorder.transport.write("early")
      recorder.transport.writeEOF()
      for _ in 0..<4 { recorder.transport.write("late") }
      try await loop.until { recorder.isLost }
      recorder.transport.writeLines([[1]])
      recorder.transport.write("late")
      recorder.transport.write("late")
      #expect(CapturedLog.matching("what is written to a closed pipe").count == warnings + 1)
      #expect(try await peer.receive(5, on: loop) == Array("early".utf8))
      #expect(try await peer.isAtEnd(on: loop))
    }
  }

  @Test("close and writeEOF flush first, then connectionLost comes without an error", arguments: [true, false])
  func closes(byEOF: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      let bytes = pattern(plenty)
      #expect(recorder.transport.canWriteEOF)
      recorder.transport.write(bytes)
      for _ in 0..<2 { if byEOF { recorder.transport.writeEOF() } else { recorder.transport.close() } }
      #expect(recorder.transport.isClosing)
      try await loop.turn()
      #expect(!recorder.isLost)
      #expect(try await peer.receive(bytes.count, on: loop) == bytes)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .resume, .lost(nil)])
      #expect(try await peer.isAtEnd(on: loop))
    }
  }

  @Test("abort drops what is buffered", arguments: PipeKind.allCases)
  func aborts(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.writer(loop, kernel)
      kernel.inject(.wouldBlock, into: kind == .socketPair ? .send : .write)
      recorder.transport.write("never sent")
      recorder.transport.abort()
      recorder.transport.abort()
      #expect(recorder.calls == [.made] && recorder.transport.writeBufferSize == 0)
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(nil)])
      if kind != .terminal { #expect(try await peer.isAtEnd(on: loop)) }
    }
  }

  @Test("an abort's error is what the end is told with")
  func abortsWithError() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      recorder.transport.abort(IOError(.noSpace, "test"))
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.noSpace)])
      #expect(try await peer.isAtEnd(on: loop))
    }
  }

  @Test("a write to a pipe without reader is an error, never a signal", arguments: PipeKind.watchingTheReader)
  func noSignal(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.writer(loop, kernel)
      peer.close()
      recorder.transport.write("to nobody")
      recorder.transport.writeLines([[1], [2]])
      #expect(recorder.calls == [.made], "never from inside write")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.brokenPipe)])
      #expect(recorder.ioLoss?.operation == "write")
    }
  }

  @Test("a socket whose peer has ended its own side still takes bytes")
  func halfClosedPeer() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.socketPair.writer(loop, kernel)
      try LinuxKernel.shared.shutdownWrite(peer.descriptor)
      try await loop.turn()
      recorder.transport.write("still")
      #expect(try await peer.receive(5, on: loop) == Array("still".utf8))
      #expect(recorder.calls == [.made])
    }
  }

  @Test("a socket's peer that sends is not read, and is no end")
  func peerSends() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.socketPair.writer(loop, kernel)
      try peer.send("unasked")
      try await loop.expectIdle(kernel)
      #expect(recorder.calls == [.made])
    }
  }

  @Test("a terminal that hangs up while bytes wait ends, and does not spin")
  func terminalHangsUp() throws {
    try runLoop { loop, kernel in
      // The master's side: its writes wait for a program that reads the terminal.
      let (master, terminal) = try PipeKind.terminal.open()
      kernel.enrol(master)
      let peer = PipePeer(terminal, kernel)
      let recorder = WriteRecorder()
      _ = try await loop.connectWritePipe({ recorder }, master)
      recorder.transport.write(pattern(plenty))
      #expect(recorder.transport.writeBufferSize > 0)
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.ioLoss?.code == .brokenPipe)
    }
  }

  @Test("a terminal that hangs up while nothing waits is left open: its other side may come back")
  func idleTerminal() throws {
    try runLoop { loop, kernel in
      let (master, terminal) = try PipeKind.terminal.open()
      kernel.enrol(master)
      let peer = PipePeer(terminal, kernel)
      let recorder = WriteRecorder()
      _ = try await loop.connectWritePipe({ recorder }, master)
      peer.close()
      try await loop.expectIdle(kernel)
      #expect(recorder.calls == [.made])
    }
  }

  @Test("closing and aborting inside the protocol's methods", arguments: ["pause", "resume", "made"])
  func closesInside(_ method: String) throws {
    try runLoop { loop, kernel in
      let recorder = WriteRecorder()
      switch method {
      case "pause": recorder.onPause = { recorder.transport.abort() }
      case "resume": recorder.onResume = { recorder.transport.close() }
      default:
        recorder.onMade = {
          $0.write("all of it")
          $0.close()
        }
      }
      let (_, peer) = try await PipeKind.pipe.writer(loop, kernel, recorder)
      let bytes = pattern(plenty)
      recorder.transport.write(bytes)
      switch method {
      case "pause": try await loop.until { recorder.isLost }
      case "resume": #expect(try await peer.receive(bytes.count, on: loop) == bytes)
      default: #expect(try await peer.receive(9, on: loop) == Array("all of it".utf8))
      }
      #expect(method == "pause" ? recorder.calls == [.made, .pause, .lost(nil)] : try await peer.isAtEnd(on: loop))
      try await loop.until { recorder.isLost }
      #expect(recorder.calls.last == .lost(nil))
    }
  }

  @Test("what connectionMade throws is reported and closes")
  func protocolThrows() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = WriteRecorder()
      recorder.onMade = { _ in throw TestError(number: 2) }
      let (_, _) = try await PipeKind.pipe.writer(loop, kernel, recorder)
      try await loop.until { recorder.isLost }
      #expect(recorder.loss! as? TestError == TestError(number: 2))
      #expect(errors.messages == ["error in a protocol's connectionMade"])
    }
  }

  @Test("what pauseWriting and resumeWriting throw is reported, and closes nothing")
  func flowControlThrows() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = WriteRecorder()
      recorder.onPause = { throw TestError(number: 3) }
      recorder.onResume = { throw TestError(number: 4) }
      let (_, peer) = try await PipeKind.pipe.writer(loop, kernel, recorder)
      recorder.transport.setWriteBufferLimits(high: 1000, low: 10)
      #expect(recorder.transport.writeBufferLimits == (low: 10, high: 1000))
      recorder.transport.write(pattern(plenty))
      #expect(try await peer.receive(plenty, on: loop) == pattern(plenty))
      try await loop.until { errors.messages.count == 2 }
      #expect(errors.contexts.map { $0.error as? TestError } == [TestError(number: 3), TestError(number: 4)])
      #expect(!recorder.isLost)
    }
  }

  @Test("setProtocol has another protocol called")
  func changesProtocol() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      let second = WriteRecorder()
      recorder.transport.setProtocol(second)
      #expect(recorder.transport.getProtocol() === second)
      peer.close()
      try await loop.until { second.isLost }
      #expect(recorder.calls == [.made] && second.calls == [.lost(nil)])
      #expect(recorder.transport.getProtocol() == nil)
    }
  }
}
