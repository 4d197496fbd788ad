// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// What a reader tells of a connection that is closed because nobody can write to it any more.
@Suite struct DroppedWriterTests {
  /// The ways to read that come to the end of a stream.
  enum Way: CaseIterable, Sendable {
    case some, all, exactly, until, line, chunks, lines

    func read(_ reader: StreamReader) async throws {
      switch self {
      case .some: _ = try await reader.read(100)
      case .all: _ = try await reader.read()
      case .exactly: _ = try await reader.readExactly(100)
      case .until: _ = try await reader.readUntil([0])
      case .line: _ = try await reader.readLine()
      case .chunks: for try await _ in reader {}
      case .lines: for try await _ in reader.lines {}
      }
    }
  }

  /// A reader whose writer is gone, and its peer.
  private func orphan(
    _ loop: EventLoop, _ kernel: TestKernel, line: UInt,
    before: (Socket, StreamReader) async throws -> Void = { _, _ in }
  ) async throws -> (StreamReader, peer: Socket) {
    let (ours, theirs) = try kernel.makeSocketPair(.stream)
    let peer = Socket(adopting: theirs, kernel: kernel)
    let (reader, writer) = try await loop.openConnection(
      socket: Socket(adopting: ours, kernel: kernel), file: "Orphan", line: line)
    try await before(peer, reader)
    withExtendedLifetime(writer) {}
    return (reader, peer)
  }

  @Test("reading where the end would be throws, and names the place where the writer was made", arguments: Way.allCases)
  func says(_ way: Way) throws {
    try runLoop { loop, kernel in
      let (reader, peer) = try await orphan(loop, kernel, line: 17)
      for _ in 1...2 {
        let error = await thrown { try await way.read(reader) } as? DroppedWriterError
        #expect(error?.callSite == CallSite("Orphan", 17))
        #expect("\(error.map { "\($0)" } ?? "")".contains("its writer, made at Orphan:17, was dropped"))
      }
      peer.close()
    }
  }

  @Test("what had arrived is read first")
  func arrivedIsRead() throws {
    try runLoop { loop, kernel in
      let (reader, peer) = try await orphan(loop, kernel, line: 1) { peer, reader in
        try Peer(peer).send("one\ntwo")
        try await loop.until { reader.unreadCount == 7 }
      }
      #expect(try await reader.readLine() == octets("one\n"))
      await #expect(throws: DroppedWriterError.self) { try await reader.readLine() }
      #expect(try await reader.read(100) == octets("two"), "half a line is not lost by asking for a line")
      await #expect(throws: DroppedWriterError.self) { try await reader.read(100) }
      peer.close()
    }
  }

  @Test("a read that waits when the writer is dropped hears of it")
  func waiting() throws {
    try runLoop { loop, kernel in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let peer = Socket(adopting: theirs, kernel: kernel)
      let kept = Boxed<StreamWriter?>(nil)
      func connect() async throws -> StreamReader {
        let (reader, writer) = try await loop.openConnection(socket: Socket(adopting: ours, kernel: kernel))
        kept.value = writer
        return reader
      }
      let reader = try await connect()
      let waiting = loop.createTask { try await reader.read(100) }
      try await loop.until { waiting.awaited != nil }
      kept.value = nil
      await #expect(throws: DroppedWriterError.self) { try await waiting.value }
      peer.close()
    }
  }

  @Test("an end that the peer had sent before is an end", arguments: [Way.some, .all, .line, .chunks, .lines])
  func peerEnded(_ way: Way) throws {
    try runLoop { loop, kernel in
      let (reader, peer) = try await orphan(loop, kernel, line: 2) { peer, reader in
        peer.close()
        try await loop.until { reader.atEOF }
      }
      try await way.read(reader)
      #expect(peer.isClosed)
    }
  }

  @Test("a writer that was closed before it is dropped has ended the stream itself")
  func closedBefore() throws {
    try runLoop { loop, kernel in
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let peer = Socket(adopting: theirs, kernel: kernel)
      func connect() async throws -> StreamReader {
        let (reader, writer) = try await loop.openConnection(
          socket: Socket(adopting: ours, kernel: kernel), file: "ClosedBefore", line: 3)
        loop.debug = true
        writer.close()
        return reader
      }
      let reader = try await connect()
      #expect(try await reader.read() == [])
      #expect(CapturedLog.matching("ClosedBefore") == [])
      peer.close()
    }
  }

  @Test("debug mode logs where the writer was made, and nothing is logged without it", arguments: [true, false])
  func logs(_ debug: Bool) throws {
    try runLoop { loop, kernel in
      loop.debug = debug
      let line: UInt = debug ? 4321 : 4322
      let (_, peer) = try await orphan(loop, kernel, line: line)
      #expect(CapturedLog.matching("made at Orphan:\(line), was dropped").count == (debug ? 1 : 0))
      peer.close()
    }
  }

  @Test("a handler that returns drops its writer in good order: the peer sees an end, and nothing is logged")
  func handler() throws {
    try runLoop { loop, _ in
      loop.debug = true
      var kept: StreamReader?
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        kept = reader
        try await writer.send("bye")
      }
      let before = CapturedLog.matching("its writer was dropped").count
      let (reader, writer) = try await loop.openConnection(
        host: "127.0.0.1", port: try #require(server.sockets[0].localAddress?.port))
      #expect(try await reader.read() == octets("bye"))
      let served = try #require(kept)
      let error = await thrown { try await served.read() } as? DroppedWriterError
      #expect(error != nil && error?.callSite == nil)
      #expect(CapturedLog.matching("its writer was dropped").count == before)
      writer.close()
      try await writer.waitClosed()
      server.close()
    }
  }
}
