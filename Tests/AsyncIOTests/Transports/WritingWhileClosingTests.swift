// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// What is written to a transport that was closed and still sends what it had.
@Suite("Writing while a transport closes")
struct WritingWhileClosingTests {
  @Test("what is written while a close waits for the last byte is sent too", arguments: PairKind.allCases)
  func stream(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      let transport = recorder.transport
      recorder.onResume = {
        #expect(transport.isClosing)
        transport.write("from resumeWriting, ")
        transport.writeLines([Array("twice".utf8)])
      }
      let bytes = pattern(plenty)
      transport.write(bytes)
      transport.close()
      transport.write("after close, ")
      transport.writeLines([Array("more of that, ".utf8)])
      let all = try await peer.receiveToEnd(on: loop)
      #expect(all.count >= bytes.count && Array(all.prefix(bytes.count)) == bytes)
      #expect(
        String(decoding: all.dropFirst(bytes.count), as: UTF8.self)
          == "after close, more of that, from resumeWriting, twice")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .resume, .lost(nil)])
    }
  }

  @Test("what the last resumeWriting leaves unsent keeps the transport open", arguments: PairKind.allCases)
  func lastByte(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      let transport = recorder.transport
      transport.setWriteBufferLimits(high: 4, low: 0)
      kernel.inject(.wouldBlock, into: .send)
      var left = 3
      recorder.onResume = {
        #expect(transport.writeBufferSize == 0)
        guard left > 0 else { return }
        left -= 1
        kernel.inject(.wouldBlock, into: .send)
        transport.write(", again")
      }
      transport.write("first")
      transport.close()
      #expect(String(decoding: try await peer.receiveToEnd(on: loop), as: UTF8.self) == "first, again, again, again")
      try await loop.until { recorder.isLost }
      #expect(
        recorder.calls == [.made, .pause, .resume, .pause, .resume, .pause, .resume, .pause, .resume, .lost(nil)])
    }
  }

  @Test("what is written after the last byte is out is dropped", arguments: PairKind.allCases)
  func tooLate(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.write("all")
      recorder.transport.close()
      recorder.transport.write("late")
      recorder.transport.writeLines([[1]])
      #expect(recorder.transport.writeBufferSize == 0)
      #expect(String(decoding: try await peer.receiveToEnd(on: loop), as: UTF8.self) == "all")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test("a closing transport's write side is not ended early, and takes no file")
  func endsAndFiles() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      recorder.transport.write("one ")
      recorder.transport.close()
      recorder.transport.writeEOF()
      recorder.transport.write("two")
      let folder = try TemporaryFolder()
      let file = try folder.file([1, 2, 3])
      defer { try? file.close() }
      await #expect(throws: EventLoopError(.transportState, "")) {
        try await loop.sendFile(recorder.transport, file)
      }
      #expect(String(decoding: try await peer.receiveToEnd(on: loop), as: UTF8.self) == "one two")
      try await loop.until { recorder.isLost }
      #expect(kernel.count(of: .shutdownWrite) == 0)
    }
  }

  @Test("a writer that was closed still drains and sends what follows")
  func streams() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      for socket in [near, far] {
        try socket.setOption(.sendBufferSize, 64 * 1024)
        try socket.setOption(.receiveBufferSize, 64 * 1024)
      }
      let peer = Peer(far)
      let (reader, writer) = try await loop.openConnection(socket: near)
      let bytes = pattern(plenty)
      writer.write(bytes)
      writer.close()
      let received = Future<[UInt8]>(loop)
      loop.createTask { try received.setResult(try await peer.receiveToEnd(on: loop)) }
      try await writer.send("tail")
      let all = try await received.value
      #expect(all.count == bytes.count + 4 && String(decoding: all.suffix(4), as: UTF8.self) == "tail")
      try await writer.waitClosed()
      _ = reader
    }
  }

  @Test("a pipe that closes sends what is written meanwhile", arguments: PipeKind.allCases)
  func pipe(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.writer(loop, kernel)
      let transport = recorder.transport
      transport.setWriteBufferLimits(high: 10, low: 0)
      kernel.inject(.wouldBlock, into: .write)
      kernel.inject(.wouldBlock, into: .send)
      recorder.onResume = { transport.write("from resumeWriting") }
      transport.write("before close, ")
      transport.close()
      transport.writeLines([Array("after close, ".utf8)])
      let text = "before close, after close, from resumeWriting"
      #expect(String(decoding: try await peer.receive(text.utf8.count, on: loop), as: UTF8.self) == text)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .resume, .lost(nil)])
    }
  }

  @Test("a datagram endpoint that closes sends what follows while its queue is being sent")
  func datagrams() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.setWriteBufferLimits(high: 1, low: 0)
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.onResume = {
        client.transport.sendTo("3")
        client.transport.sendTo("4")
      }
      client.transport.sendTo("1")
      client.transport.close()
      client.transport.sendTo("2")
      try await loop.until { client.isLost && server.datagrams.count == 4 }
      #expect(server.texts == ["1", "2", "3", "4"])
      #expect(client.calls == [.made, .pause, .resume, .lost(nil)])
      client.transport.sendTo("late")
      try await loop.close(server)
      #expect(server.datagrams.count == 4)
    }
  }
}
