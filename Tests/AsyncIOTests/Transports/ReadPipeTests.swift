// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Read pipe transport")
struct ReadPipeTests {
  @Test(
    "connectionMade, data, the end of file, then connectionLost without an error", arguments: PipeKind.allCases)
  func lifeCycle(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.reader(loop, kernel)
      let descriptor = try #require(recorder.transport.getExtraInfo(.pipe))
      #expect(recorder.calls == [.made])
      #expect(recorder.transport.isReading && !recorder.transport.isClosing)
      try peer.send("hello")
      try await loop.until { recorder.text == "hello" }
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
      #expect(recorder.loss! == nil)
      #expect(recorder.transport.isClosing && !recorder.transport.isReading)
      #expect(recorder.transport.getProtocol() == nil)
      #expect(!kernel.openDescriptors.contains(descriptor.rawValue), "closed right after connectionLost")
    }
  }

  @Test("what was written before the hang-up is delivered before the end", arguments: PipeKind.allCases)
  func drainsBeforeTheEnd(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      // A terminal holds little.
      let bytes = pattern(kind == .terminal ? 2000 : 60_000)
      kernel.limit(kind.readCall, toBytes: bytes.count / 20)
      let recorder = ReadRecorder()
      // Half of it is read before the writer goes away.
      recorder.onMade = { $0.pauseReading() }
      let (_, peer) = try await kind.reader(loop, kernel, recorder)
      try peer.send(bytes)
      let transport = recorder.transport
      var rest: PipePeer? = peer
      recorder.onData = { _ in
        guard recorder.received.count >= bytes.count / 2, let end = rest else { return }
        rest = nil
        end.close()
      }
      transport.resumeReading()
      try await loop.until { recorder.isLost }
      #expect(recorder.received == bytes)
      #expect(recorder.chunkSizes.count >= 20)
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("a read error is reported and closes", arguments: [PipeKind.pipe, .fifo, .socketPair])
  func readError(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await kind.reader(loop, kernel)
      kernel.inject(.ioError, into: kind.readCall)
      try peer.send("unread")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.ioError)])
      #expect((recorder.loss! as? IOError)?.operation == "read")
      #expect(errors.messages == ["read error on a pipe"])
      #expect(errors.contexts.first?.transport === recorder.transport)
    }
  }

  @Test("a terminal's EIO is its end, and no error")
  func terminalEnd() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await PipeKind.terminal.reader(loop, kernel)
      try peer.send("last words")
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "last words")
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
      #expect(errors.messages == [])
    }
  }

  @Test("another error of a terminal is one")
  func terminalError() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await PipeKind.terminal.reader(loop, kernel)
      kernel.inject(.badAddress, into: .read)
      try peer.send("unread")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.badAddress)])
      #expect(errors.messages == ["read error on a pipe"])
    }
  }

  @Test("a read that would block is none", arguments: PipeKind.allCases)
  func wouldBlock(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      kernel.inject(.wouldBlock, into: kind.readCall, times: 2)
      let (recorder, peer) = try await kind.reader(loop, kernel)
      try peer.send("x")
      try await loop.until { recorder.text == "x" }
      #expect(recorder.calls == [.made, .data])
      recorder.transport.close()
    }
  }

  @Test("while reading is paused nothing is delivered, not even the end", arguments: PipeKind.allCases)
  func pauses(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.reader(loop, kernel)
      let transport = recorder.transport
      transport.pauseReading()
      transport.pauseReading()
      #expect(!transport.isReading)
      try peer.send("later")
      peer.close()
      try await loop.expectIdle(kernel)
      #expect(recorder.calls == [.made] && kernel.count(of: kind.readCall) == 0)
      transport.resumeReading()
      transport.resumeReading()
      #expect(transport.isReading)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("pause and resume are harmless after close, and close after the end", arguments: [true, false])
  func lateCalls(afterLoss: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.reader(loop, kernel)
      try peer.send("dropped")
      let transport = recorder.transport
      transport.close()
      if afterLoss { try await loop.until { recorder.isLost } }
      transport.pauseReading()
      transport.resumeReading()
      transport.close()
      #expect(!transport.isReading && transport.isClosing)
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(nil)])
      #expect(kernel.count(of: .read) == 0)
    }
  }

  @Test("closing while data is delivered ends delivery")
  func closesInsideData() throws {
    try runLoop { loop, kernel in
      kernel.limit(.read, toBytes: 3)
      let recorder = ReadRecorder()
      recorder.onData = { _ in recorder.transport.close() }
      let (_, peer) = try await PipeKind.pipe.reader(loop, kernel, recorder)
      try peer.send("abcdef")
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "abc")
      #expect(recorder.calls == [.made, .data, .lost(nil)])
    }
  }

  @Test("a transport that is closed in connectionMade reads nothing")
  func closesInsideMade() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      kernel.enrol(reading)
      let peer = PipePeer(writing, kernel)
      try peer.send("early")
      let recorder = ReadRecorder()
      recorder.onMade = { $0.close() }
      let (transport, _) = try await loop.connectReadPipe({ recorder }, reading)
      #expect(transport.isClosing)
      #expect(recorder.calls == [.made], "connectionLost never comes from inside")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test("what a method of the protocol throws is reported and closes", arguments: ["Made", "Data", "EOF"])
  func protocolThrows(_ method: String) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = ReadRecorder()
      switch method {
      case "Made": recorder.onMade = { _ in throw TestError(number: 1) }
      case "Data": recorder.onData = { _ in throw TestError(number: 1) }
      default: recorder.onEOF = { throw TestError(number: 1) }
      }
      let (_, peer) = try await PipeKind.pipe.reader(loop, kernel, recorder)
      if method != "Made" { try peer.send("x") }
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.loss! as? TestError == TestError(number: 1))
      #expect(errors.messages.count == 1 && errors.contexts[0].error as? TestError != nil)
      #expect(errors.contexts[0].protocol === recorder)
    }
  }

  @Test("setProtocol has another protocol called")
  func changesProtocol() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.reader(loop, kernel)
      let second = ReadRecorder()
      recorder.transport.setProtocol(second)
      #expect(recorder.transport.getProtocol() === second)
      try peer.send("to the second")
      peer.close()
      try await loop.until { second.isLost }
      #expect(recorder.calls == [.made])
      #expect(second.calls == [.data, .eof, .lost(nil)])
      recorder.transport.setProtocol(recorder)
      #expect(recorder.transport.getProtocol() == nil, "not after the end")
    }
  }

  @Test("extra information: the descriptor, and nothing of a socket")
  func extraInfo() throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await PipeKind.socketPair.reader(loop, kernel)
      #expect(recorder.transport.getExtraInfo(.pipe) != nil)
      #expect(recorder.transport.getExtraInfo(.socket) == nil)
      #expect(recorder.transport.getExtraInfo(.peername, default: .unnamed) == .unnamed)
    }
  }

  @Test("a FIFO that nobody has written to yet is not at its end")
  func fifoWithoutWriter() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = try folder.fifo("fifo")
      let reading = try FileDescriptor.open(FilePath(path), .readOnly, options: .nonBlocking)
      kernel.enrol(reading)
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, reading)
      try await loop.turn(10)
      #expect(recorder.calls == [.made])
      let peer = PipePeer(try FileDescriptor.open(FilePath(path), .writeOnly), kernel)
      try peer.send("here")
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.text == "here")
      #expect(recorder.calls == [.made, .data, .eof, .lost(nil)])
    }
  }
}
