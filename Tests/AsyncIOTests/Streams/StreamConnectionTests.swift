// SPDX-License-Identifier: Apache-2.0
import Dispatch
import SystemPackage
import Testing

@testable import AsyncIO

/// Readers and writers on real sockets.
@Suite struct StreamConnectionTests {
  @Test("a plain connection stays half open at the end of file")
  func halfOpen() throws {
    try runLoop { loop, _ in
      let (client, server) = try await loop.makeTCPStreams()
      client.writer.write("question")
      client.writer.writeEOF()
      #expect(try await server.reader.read() == octets("question"))
      #expect(server.reader.atEOF)
      #expect(!server.writer.isClosing)
      try await server.writer.send("answer")
      #expect(try await client.reader.readExactly(6) == octets("answer"))
      try await server.writer.send(", more")
      server.writer.close()
      #expect(try await client.reader.read() == octets(", more"))
      client.writer.close()
      try await client.writer.waitClosed()
      try await server.writer.waitClosed()
    }
  }

  @Test("the end of file is told once, after all data, to a reader that is slow")
  func endAfterData() throws {
    try runLoop { loop, kernel in
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel, limit: 10)
      var sent = 0
      for number in 0..<20 { sent += try peer.send([UInt8](repeating: UInt8(number), count: 50)) }
      peer.close()
      var chunks: [[UInt8]] = []
      for try await chunk in reader {
        chunks.append(chunk)
        try await loop.settle()
      }
      #expect(sent == 1000)
      #expect(chunks.joined().count == sent)
      #expect(Array(chunks.joined()) == (0..<20).flatMap { [UInt8](repeating: $0, count: 50) })
      writer.close()
    }
  }

  @Test("all ways to write arrive in order")
  func waysToWrite() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      writer.write([UInt8](octets("1")).span)
      writer.write(octets("2"))
      writer.write("3")
      writer.writeLines([octets("4"), [], octets("5\n")])
      writer.writeLines([])
      writer.write("")
      try await writer.send(octets("6"))
      try await writer.send("\u{e9}")
      #expect(try await peer.receive(9, loop) == octets("12345\n6\u{e9}"))
      #expect(writer.canWriteEOF)
      writer.close()
      #expect(writer.isClosing)
      #expect(try await peer.receiveToEnd(loop) == [])
      peer.close()
    }
  }

  @Test("all ways to write keep their order when the kernel takes a little at a time")
  func waysToWriteInPieces() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      kernel.limit(.send, toBytes: 3)
      kernel.limit(.sendGathering, toBytes: 5)
      var expected: [UInt8] = []
      for number in 0..<40 {
        let text = "number \(number), "
        expected += octets(text + text + "end\n")
        writer.write(text)
        writer.writeLines([octets(text), octets("end\n")])
        if number % 10 == 0 { try await writer.drain() }
      }
      writer.writeEOF()
      #expect(try await peer.receiveToEnd(loop) == expected)
      peer.close()
      writer.close()
    }
  }

  @Test("extra information of a stream is its transport's")
  func extraInfo() throws {
    try runLoop { loop, _ in
      let (client, server) = try await loop.makeTCPStreams()
      #expect(client.writer.getExtraInfo(.sockname) == server.writer.getExtraInfo(.peername))
      #expect(client.writer.getExtraInfo(.peername) == server.writer.getExtraInfo(.sockname))
      #expect(client.writer.getExtraInfo(.peername)?.host == "127.0.0.1")
      #expect(client.writer.getExtraInfo(.socket) === (client.writer.transport as? StreamTransport)?.socket)
      client.writer.close()
      server.writer.close()
    }
  }

  @Test("a reset is thrown by the waiting read, by later ones, by drain and by waitClosed")
  func reset() throws {
    try runLoop { loop, _ in
      let (client, server) = try await loop.makeTCPStreams()
      let waiting = try await loop.startWaiting { try await client.reader.read() }
      // To close with data unread is to reset.
      server.reader.transport?.pauseReading()
      client.writer.write("unread")
      server.writer.transport.abort()
      let error = await #expect(throws: IOError.self) { try await waiting.value }
      #expect(error?.code == .connectionReset)
      #expect(error?.operation == "recv")
      await #expect(throws: IOError.self) { try await client.reader.readLine() }
      await #expect(throws: IOError.self) { try await client.writer.drain() }
      await #expect(throws: IOError.self) { try await client.writer.waitClosed() }
      try await server.writer.waitClosed()
    }
  }

  @Test("waitClosed ends after connectionLost, also with unread data; then the reader is at its end")
  func waitClosedWithUnreadData() throws {
    try runLoop { loop, kernel in
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel)
      try peer.send(octets("line\nunread"))
      #expect(try await reader.readLine() == octets("line\n"))
      let early = try await loop.startWaiting { try await writer.waitClosed() }
      let second = try await loop.startWaiting { try await writer.waitClosed() }
      let socket = try #require(writer.getExtraInfo(.socket))
      #expect(kernel.openDescriptors.contains(socket.descriptor.rawValue))
      writer.close()
      try await early.value
      try await second.value
      #expect(socket.isClosed)
      try await writer.waitClosed()
      #expect(try await reader.read() == octets("unread"))
      #expect(reader.atEOF)
      #expect(try await reader.read(1) == [])
      peer.close()
    }
  }

  @Test("waitClosed waits until what is buffered is sent")
  func waitClosedAfterFlush() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      let count = 2 << 20
      writer.write([UInt8](repeating: 1, count: count))
      writer.close()
      var isClosed = false
      let closing = try await loop.startWaiting {
        try await writer.waitClosed()
        isClosed = true
      }
      #expect(!isClosed)
      #expect(try await peer.receiveToEnd(loop).count == count)
      try await closing.value
      #expect(isClosed)
      peer.close()
    }
  }

  @Test("a cancelled waitClosed leaves the others waiting, and can be repeated")
  func cancelledWaitClosed() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      let cancelled = try await loop.startWaiting { try await writer.waitClosed() }
      let other = try await loop.startWaiting { try await writer.waitClosed() }
      cancelled.cancel()
      await #expect(throws: CancellationError.self) { try await cancelled.value }
      #expect(!writer.isClosing)
      writer.close()
      try await other.value
      try await writer.waitClosed()
      peer.close()
    }
  }

  @Test("a writer that is dropped closes its connection, after what it wrote")
  func droppedWriter() throws {
    try runLoop { loop, kernel in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let peer = Socket(adopting: theirs, kernel: kernel)
      weak var dropped: StreamWriter?
      func connect() async throws -> StreamReader {
        let (reader, writer) = try await loop.openConnection(socket: Socket(adopting: ours, kernel: kernel))
        dropped = writer
        writer.write("bye")
        return reader
      }
      let reader = try await connect()
      #expect(dropped == nil)
      #expect(try await peer.receiveToEnd(loop) == octets("bye"))
      await #expect(throws: DroppedWriterError.self) { try await reader.read() }
      #expect(kernel.openDescriptors.isDisjoint(with: [ours.rawValue]))
      peer.close()
    }
  }

  @Test("a writer whose last reference goes on another thread closes its connection on the loop's")
  func writerDroppedElsewhere() throws {
    try runLoop { loop, kernel in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let peer = Socket(adopting: theirs, kernel: kernel)
      let gate = DispatchSemaphore(value: 0)
      func connect() async throws {
        let (_, writer) = try await loop.openConnection(socket: Socket(adopting: ours, kernel: kernel))
        writer.write("bye")
        let held = LoopBound(writer)
        DispatchQueue.global().async {
          gate.wait()
          withExtendedLifetime(held) {}
        }
      }
      try await connect()
      #expect(try await peer.receive(3, loop) == octets("bye"))
      #expect(try peer.receiveNow() == [], "it is still held")
      gate.signal()
      #expect(try await peer.receiveToEnd(loop) == [])
      peer.close()
    }
  }
}
