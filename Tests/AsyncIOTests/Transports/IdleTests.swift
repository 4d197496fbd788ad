// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Interest that is not given back wakes the loop for ever, and nothing else shows it: the poller stays ready for what
/// nobody wants.
@Suite("Idle transports do not spin")
struct IdleTests {
  @Test("after what was buffered is out", arguments: PairKind.allCases)
  func flushed(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      recorder.transport.write("late")
      #expect(try await peer.receive(4, on: loop) == Array("late".utf8))
      try await loop.expectIdle(kernel)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("while nothing can be written", arguments: PairKind.allCases)
  func blocked(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await kind.transport(loop, kernel, smallBuffers: true)
      recorder.transport.write(pattern(plenty))
      try await loop.expectIdle(kernel)
      recorder.transport.close()
      try await loop.expectIdle(kernel)
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("while reading is paused, with data or the end there", arguments: PairKind.allCases)
  func paused(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.pauseReading()
      try peer.send("unread")
      try await loop.expectIdle(kernel)
      peer.close()
      try await loop.expectIdle(kernel)
      recorder.transport.resumeReading()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("after the peer's end, kept open for writing", arguments: PairKind.allCases)
  func halfClosed(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.onEOF = { true }
      try peer.shutDownWriting()
      try await loop.until { recorder.calls.last == .eof }
      try await loop.expectIdle(kernel)
      recorder.transport.writeEOF()
      try await loop.expectIdle(kernel)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("while a file waits for its peer, and after it")
  func file() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let folder = try TemporaryFolder()
      let file = try folder.file(pattern(plenty))
      defer { try? file.close() }
      let sending = try await loop.startWaiting { try await loop.sendFile(recorder.transport, file) }
      try await loop.expectIdle(kernel)
      #expect(try await peer.receive(plenty, on: loop).count == plenty)
      #expect(try await sending.value == plenty)
      try await loop.expectIdle(kernel)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a file transfer that is cancelled wants no more to be told of room")
  func cancelledFile() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let folder = try TemporaryFolder()
      let file = try folder.file(pattern(plenty))
      defer { try? file.close() }
      let sending = try await loop.startWaiting { try await loop.sendFile(recorder.transport, file) }
      sending.cancel()
      await #expect(throws: CancellationError.self) { try await sending.value }
      while try peer.receiveNow() != nil {}
      try await loop.expectIdle(kernel)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a datagram endpoint after its queue is out")
  func datagrams() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("late")
      try await loop.until { server.texts == ["late"] }
      try await loop.expectIdle(kernel)
      kernel.inject(.wouldBlock, into: .sendDatagram)
      kernel.inject(.messageTooLong, into: .sendBatch)
      client.transport.sendTo("fails")
      try await loop.until { client.errors.count == 1 }
      try await loop.expectIdle(kernel)
      try await loop.close(server, client)
    }
  }

  @Test("a write pipe while nothing can be written, and after it was", arguments: PipeKind.allCases)
  func writePipe(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.writer(loop, kernel)
      let bytes = pattern(plenty)
      recorder.transport.write(bytes)
      try await loop.expectIdle(kernel)
      #expect(try await peer.receive(bytes.count, on: loop).count == bytes.count)
      try await loop.expectIdle(kernel)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a server that rests after a failure, and one that does not serve yet")
  func servers() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let server = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0)
      let address = try #require(server.sockets[0].localAddress)
      kernel.inject(.tooManyOpenFiles, into: .accept)
      let peer = try await Peer.connect(to: address, loop, kernel)
      try await loop.until { errors.contexts.count == 1 }
      try await loop.expectIdle(kernel)
      kernel.advanceClock(by: Listener.pause)
      try await loop.until { server.connectionCount == 1 }
      try await loop.expectIdle(kernel)
      server.close()
      server.abortClients()
      try await server.waitClosed()
      peer.close()
    }
  }

  @Test("a descriptor of the program's, of whose two callbacks one was removed", arguments: ["reader", "writer"])
  func watchers(_ left: String) throws {
    try runLoop { loop, kernel in
      let (near, nearPeer) = try Socket.pair()
      defer { nearPeer.close() }
      let (full, far) = try Socket.pair()
      try far.send([1])
      _ = try full.fill()
      // Ready for what is removed alone.
      let socket = left == "reader" ? near : full
      var calls = 0
      try loop.addReader(socket.descriptor) { calls += 1 }
      try loop.addWriter(socket.descriptor) { calls += 1 }
      try await loop.until { calls > 0 }
      if left == "reader" {
        #expect(try loop.removeWriter(socket.descriptor))
      } else {
        #expect(try loop.removeReader(socket.descriptor))
      }
      try await loop.expectIdle(kernel)
      let before = calls
      try await loop.turn()
      #expect(calls == before)
      _ = left == "reader" ? try loop.removeReader(socket.descriptor) : try loop.removeWriter(socket.descriptor)
    }
  }

  @Test("a descriptor of the program's, whose other direction a task no longer waits for", arguments: [true, false])
  func waiters(isCancelled: Bool) throws {
    try runLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      _ = try near.fill()
      try far.send([1])
      let reading = try await loop.startWaiting { try await loop.sockRecv(near, 1) }
      let sending = try await loop.startWaiting { try await loop.sockSendAll(near, [2]) }
      #expect(try await reading.value == [1])
      try far.send([3])
      try await loop.expectIdle(kernel)
      if isCancelled {
        sending.cancel()
        await #expect(throws: CancellationError.self) { try await sending.value }
        while (try? far.receive(maxBytes: 1 << 20)) != nil {}
      } else {
        while (try? far.receive(maxBytes: 1 << 20)) != nil {}
        try await sending.value
      }
      try await loop.expectIdle(kernel)
    }
  }
}
