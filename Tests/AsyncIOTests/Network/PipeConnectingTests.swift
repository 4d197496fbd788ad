// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Connecting pipes")
struct PipeConnectingTests {
  /// Tries both directions on a descriptor.
  private func connect(_ direction: String, _ loop: EventLoop, _ descriptor: FileDescriptor) async throws {
    if direction == "read" {
      _ = try await loop.connectReadPipe(ReadRecorder.init, descriptor)
    } else {
      _ = try await loop.connectWritePipe(WriteRecorder.init, descriptor)
    }
  }

  @Test("files and directories are refused, and not touched", arguments: ["read", "write"])
  func refusesFiles(_ direction: String) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let file = try folder.file([1, 2, 3])
      defer { try? file.close() }
      let directory = try FileDescriptor.open(FilePath(folder.path), .readOnly)
      defer { try? directory.close() }
      for descriptor in [file, directory] {
        let error = await thrown { try await connect(direction, loop, descriptor) }
        #expect(error as? EventLoopError == EventLoopError(.invalidArgument, ""))
        #expect(try !descriptor.isNonBlocking)
      }
      #expect(kernel.count(of: .setNonBlocking) == 0)
    }
  }

  @Test("a pipe's wrong end is refused, and stays the caller's", arguments: ["read", "write"])
  func refusesWrongEnd(_ direction: String) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kernel.makePipe()
      let error = await thrown { try await connect(direction, loop, direction == "read" ? writing : reading) }
      #expect("\(try #require(error))".contains("was not opened for \(direction == "read" ? "reading" : "writing")"))
      try kernel.close(reading)
      try kernel.close(writing)
    }
  }

  @Test("a closed descriptor is an error", arguments: ["read", "write"])
  func refusesClosed(_ direction: String) throws {
    try runLoop { loop, kernel in
      let error = try await ioError { try await connect(direction, loop, FileDescriptor(rawValue: -1)) }
      #expect(error.code == .badFileDescriptor && error.subject == "descriptor -1")
    }
  }

  @Test("a transport's descriptor is refused, by transports and by watchers")
  func refusesOwned() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.socketPair.reader(loop, kernel)
      let descriptor = try #require(recorder.transport.getExtraInfo(.pipe))
      for direction in ["read", "write"] {
        let error = await thrown { try await connect(direction, loop, descriptor) }
        #expect(error as? EventLoopError == EventLoopError(.descriptorInUse, ""))
      }
      await #expect(throws: EventLoopError(.descriptorInUse, "")) {
        _ = try await loop.connectReadPipe(
          {
            Issue.record("the factory is not called for nothing")
            return ReadRecorder()
          }, descriptor)
      }
      #expect(throws: EventLoopError(.descriptorInUse, "")) { try loop.addReader(descriptor) {} }
      try peer.send("still alive")
      try await loop.until { recorder.text == "still alive" }
    }
  }

  @Test("when the factory throws, the descriptor stays the caller's, as it was", arguments: ["read", "write"])
  func factoryThrows(_ direction: String) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      let descriptor = direction == "read" ? reading : writing
      let error = await thrown {
        if direction == "read" {
          _ = try await loop.connectReadPipe({ () throws -> ReadRecorder in throw TestError() }, descriptor)
        } else {
          _ = try await loop.connectWritePipe({ () throws -> WriteRecorder in throw TestError() }, descriptor)
        }
      }
      #expect(error as? TestError != nil)
      #expect(try !descriptor.isNonBlocking)
      try reading.close()
      try writing.close()
    }
  }

  @Test("when the mode cannot be set, the descriptor stays the caller's", arguments: ["read", "write"])
  func modeCannotBeSet(_ direction: String) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      let descriptor = direction == "read" ? reading : writing
      kernel.inject(.permissionDenied, into: .reopen)
      kernel.inject(.permissionDenied, into: .setNonBlocking)
      let error = try await ioError { try await connect(direction, loop, descriptor) }
      #expect(error.code == .permissionDenied)
      #expect(error.operation == (direction == "read" ? "connectReadPipe" : "connectWritePipe"))
      #expect(try !descriptor.isNonBlocking)
      // Not claimed either.
      if direction == "read" { _ = try loop.addReader(descriptor) {} }
      try loop.removeReader(descriptor)
      try reading.close()
      try writing.close()
    }
  }

  @Test("a poller that refuses ends the transport with that error", arguments: PipeKind.allCases)
  func pollerRefuses(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      kernel.inject(.noSpace, into: .add)
      let (recorder, _) = try await kind.reader(loop, kernel)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.noSpace)])
    }
  }

  @Test("EPERM of the poller is an error but for devices", arguments: [PipeKind.pipe, .terminal])
  func pollerForbids(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      kernel.inject(.notPermitted, into: .add)
      let (recorder, peer) = try await kind.reader(loop, kernel)
      if kind == .terminal {
        // Looked at in each iteration instead.
        try await loop.turn()
        #expect(kernel.count(of: .read) > 1)
        try peer.send("seen")
        try await loop.until { recorder.text == "seen" }
        recorder.transport.close()
      }
      try await loop.until { recorder.isLost }
      #expect(recorder.calls.last == .lost(kind == .terminal ? nil : .notPermitted))
    }
  }

  @Test("a loop that closes lets go of its pipes, and says so in debug mode")
  func loopCloses() throws {
    var reader: ReadRecorder? = ReadRecorder()
    var writer: WriteRecorder? = WriteRecorder()
    weak let weakReader = reader
    weak let weakWriter = writer
    let first = try PipeKind.pipe.open()
    let second = try PipeKind.pipe.open()
    try runLoop { [reader, writer] loop, kernel in
      guard let reader, let writer else { return }
      loop.debug = true
      kernel.enrol(first.reading)
      kernel.enrol(second.writing)
      _ = try await loop.connectReadPipe({ reader }, first.reading)
      _ = try await loop.connectWritePipe({ writer }, second.writing)
      writer.transport.write(pattern(plenty))
    }
    try first.writing.close()
    try second.reading.close()
    #expect(reader?.calls == [.made] && writer?.calls == [.made, .pause])
    #expect(!CapturedLog.matching("a read pipe (").isEmpty && !CapturedLog.matching("a write pipe (").isEmpty)
    // Harmless, and at last released.
    reader?.transport.close()
    reader?.transport.resumeReading()
    writer?.transport.write("late")
    writer?.transport.close()
    #expect(writer?.transport.writeBufferSize == 0)
    reader?.forgetTransport()
    writer?.forgetTransport()
    reader = nil
    writer = nil
    #expect(weakReader == nil && weakWriter == nil)
  }

  @Test("protocol and transport are let go of after the end")
  func letGo() throws {
    try runLoop { loop, kernel in
      weak var weakReader: ReadRecorder?
      weak var weakWriter: WriteRecorder?
      weak var weakReadTransport: ReadPipeTransport?
      weak var weakWriteTransport: WritePipeTransport?
      func run() async throws {
        let (reader, _) = try await PipeKind.pipe.reader(loop, kernel)
        let (writer, _) = try await PipeKind.pipe.writer(loop, kernel)
        (weakReader, weakWriter) = (reader, writer)
        (weakReadTransport, weakWriteTransport) = (reader.transport, writer.transport)
        reader.transport.close()
        writer.transport.close()
        try await loop.until { reader.isLost && writer.isLost }
        reader.forgetTransport()
        writer.forgetTransport()
      }
      try await run()
      try await loop.turn()
      #expect(weakReader == nil && weakWriter == nil && weakReadTransport == nil && weakWriteTransport == nil)
    }
  }
}
