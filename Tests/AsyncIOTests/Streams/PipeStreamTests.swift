// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Streams over pipes")
struct PipeStreamTests {
  /// A reader and a writer on the two ends of one pipe.
  private func connected(
    _ kind: PipeKind, _ loop: EventLoop, _ kernel: TestKernel, limit: Int = StreamReader.defaultLimit
  ) async throws -> (reader: StreamReader, writer: StreamWriter) {
    let (reading, writing) = try kind.open()
    kernel.enrol(reading)
    kernel.enrol(writing)
    return (try await loop.openReadPipe(reading, limit: limit), try await loop.openWritePipe(writing))
  }

  @Test("lines there", arguments: PipeKind.allCases)
  func lines(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (reader, writer) = try await connected(kind, loop, kernel)
      try await writer.send("one\ntwo\r\n")
      #expect(writer.canWriteEOF)
      writer.write("three")
      // A terminal's other side loses what was not read when it closes.
      if kind == .terminal { #expect(try await reader.readExactly(14) == octets("one\ntwo\r\nthree")) }
      writer.writeEOF()
      try await writer.waitClosed()
      var lines: [String] = []
      for try await line in reader.lines { lines.append(line) }
      #expect(lines == (kind == .terminal ? [] : ["one", "two", "three"]))
      #expect(reader.atEOF)
      try await loop.until { reader.transport == nil }
    }
  }

  @Test("ten mebibytes with back-pressure on both sides", arguments: [PipeKind.pipe, .socketPair])
  func muchData(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (reader, writer) = try await connected(kind, loop, kernel)
      let bytes = pattern(10 << 20)
      var largest = 0
      let sender = loop.createTask {
        var start = 0
        while start < bytes.count {
          let end = min(start + 100_000, bytes.count)
          try await writer.send(Array(bytes[start..<end]))
          largest = max(largest, writer.transport.writeBufferSize)
          start = end
        }
        writer.close()
        try await writer.waitClosed()
      }
      var received: [UInt8] = []
      received.reserveCapacity(bytes.count)
      for try await chunk in reader { received += chunk }
      try await sender.value
      #expect(received == bytes)
      #expect(largest <= 64 * 1024)
    }
  }

  @Test("a reader over twice its limit holds the writer back")
  func holdsBack() throws {
    try runLoop { loop, kernel in
      let (reader, writer) = try await connected(.pipe, loop, kernel, limit: 1000)
      kernel.limit(.read, toBytes: 500)
      writer.write(pattern(200_000))
      try await loop.until { reader.transport?.isReading == false }
      #expect(kernel.count(of: .read) == 5, "the fifth read brings it over 2000")
      let draining = try await loop.startWaiting { try await writer.drain() }
      #expect(writer.transport.writeBufferSize > 64 * 1024)
      #expect(try await reader.readExactly(200_000) == pattern(200_000))
      try await draining.value
      writer.close()
    }
  }

  @Test(
    "write and drain in a loop ends in an error when the reader is dropped", arguments: PipeKind.watchingTheReader)
  func droppedReader(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      var reader: StreamReader?
      let writer: StreamWriter
      (reader, writer) = try await connected(kind, loop, kernel)
      try await writer.send("x")
      #expect(try await reader?.readExactly(1) == octets("x"))
      reader = nil
      let error = try await ioError { while true { try await writer.send("more") } }
      #expect([.brokenPipe, .connectionReset].contains(error.code))
      await #expect(throws: IOError.self) { try await writer.drain() }
    }
  }

  @Test("a reader that is dropped with data unread closes its pipe as well")
  func droppedReaderWithData() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      kernel.enrol(reading)
      let peer = PipePeer(writing, kernel)
      _ = try await loop.openReadPipe(reading)
      try peer.send("unread")
      try await loop.until { !kernel.openDescriptors.contains(reading.rawValue) }
    }
  }

  @Test("a writer that is dropped closes its pipe, once everything is written")
  func droppedWriter() throws {
    try runLoop { loop, kernel in
      let reader: StreamReader
      var writer: StreamWriter?
      (reader, writer) = try await connected(.pipe, loop, kernel)
      writer?.write(pattern(500_000))
      writer = nil
      #expect(try await reader.read() == pattern(500_000))
    }
  }

  @Test("a waiting read and a waiting drain throw what broke the pipe")
  func broken() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (reader, writer) = try await connected(.pipe, loop, kernel)
      writer.write(pattern(plenty))
      let draining = try await loop.startWaiting { try await writer.drain() }
      kernel.inject(.ioError, into: .read)
      #expect(try await ioError { try await reader.read() }.code == .ioError)
      #expect(try await ioError { try await draining.value }.code == .brokenPipe)
      #expect(try await ioError { try await writer.waitClosed() }.code == .brokenPipe)
      #expect(errors.messages == ["read error on a pipe"])
    }
  }

  @Test("the reader's transport can be closed: the reader is at its end then")
  func closesReader() throws {
    try runLoop { loop, kernel in
      let (reader, writer) = try await connected(.pipe, loop, kernel)
      let waiting = try await loop.startWaiting { try await reader.read() }
      reader.transport?.close()
      #expect(try await waiting.value == [])
      #expect(reader.atEOF && reader.transport == nil)
      try await loop.until { writer.isClosing }
    }
  }

  @Test("a limit of zero is refused before the descriptor is touched")
  func limit() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      await #expect(throws: EventLoopError(.invalidArgument, "")) {
        _ = try await loop.openReadPipe(reading, limit: 0)
      }
      #expect(try !reading.isNonBlocking)
      try reading.close()
      try writing.close()
    }
  }

  @Test("extra information of a pipe's writer")
  func extraInfo() throws {
    try runLoop { loop, kernel in
      let (reader, writer) = try await connected(.pipe, loop, kernel)
      let descriptor = try #require(writer.getExtraInfo(.pipe))
      #expect(kernel.openDescriptors.contains(descriptor.rawValue))
      #expect(writer.getExtraInfo(.socket) == nil && reader.transport != nil)
    }
  }

  @Test(
    "a writer sends a file: by the kernel to a socket, by reading and writing to a pipe", arguments: [true, false])
  func sendsFile(toSocket: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let bytes = pattern(600_000)
      let file = try folder.file(bytes)
      defer { try? file.close() }
      let reader: StreamReader
      let writer: StreamWriter
      // Dropped, it would close the connection.
      var other: StreamWriter?
      if toSocket {
        let (client, server) = try await loop.makeTCPStreams()
        (reader, writer, other) = (client.reader, server.writer, client.writer)
      } else {
        (reader, writer) = try await connected(.pipe, loop, kernel)
      }
      writer.write("file: ")
      let sending = loop.createTask {
        let sent = try await writer.sendFile(file, offset: 1000, count: 500_000)
        #expect(try file.seek(offset: 0, from: .current) == 501_000)
        let rest = try await writer.sendFile(file, offset: 590_000)
        writer.close()
        return [sent, rest]
      }
      let received = try await reader.read()
      #expect(try await sending.value == [500_000, 10_000])
      #expect(received == octets("file: ") + bytes[1000..<501_000] + bytes[590_000...])
      #expect((kernel.count(of: .sendFile) > 0) == toSocket)
      other?.close()
    }
  }

  @Test("what sendFile refuses on a pipe")
  func sendFileRefuses() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let file = try folder.file([1, 2, 3])
      defer { try? file.close() }
      let (reader, writer) = try await connected(.pipe, loop, kernel)
      await #expect(throws: EventLoopError(.sendFileNotAvailable, "")) {
        try await writer.sendFile(file, fallback: false)
      }
      await #expect(throws: EventLoopError(.invalidArgument, "")) { try await writer.sendFile(file, offset: -1) }
      await #expect(throws: EventLoopError(.invalidArgument, "")) { try await writer.sendFile(file, count: 0) }
      writer.close()
      await #expect(throws: EventLoopError(.transportState, "")) { try await writer.sendFile(file) }
      #expect(try await reader.read() == [])
    }
  }

  @Test("a file waits for its reader: little of it is in memory at a time")
  func sendFileHoldsBack() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let file = try folder.file(pattern(4 << 20))
      defer { try? file.close() }
      let (reader, writer) = try await connected(.pipe, loop, kernel)
      let sending = loop.createTask {
        defer { writer.close() }
        return try await writer.sendFile(file)
      }
      var received: [UInt8] = []
      var largest = 0
      while true {
        let part = try await reader.read(16 * 1024)
        if part.isEmpty { break }
        received += part
        largest = max(largest, writer.transport.writeBufferSize)
      }
      #expect(try await sending.value == 4 << 20)
      #expect(received == pattern(4 << 20))
      #expect(largest <= 64 * 1024 + EventLoop.readLimit)
    }
  }

  @Test("a file whose reader goes away ends in an error, with the position behind what was written")
  func sendFileBreaks() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let file = try folder.file(pattern(plenty))
      defer { try? file.close() }
      let (reading, writing) = try PipeKind.pipe.open()
      kernel.enrol(writing)
      let peer = PipePeer(reading, kernel)
      let writer = try await loop.openWritePipe(writing)
      let sending = loop.createTask { try await writer.sendFile(file) }
      try await loop.until { writer.transport.writeBufferSize > 0 }
      peer.close()
      #expect(try await ioError { try await sending.value }.code == .brokenPipe)
      let position = try file.seek(offset: 0, from: .current)
      #expect(position > 0 && position < plenty)
    }
  }
}
