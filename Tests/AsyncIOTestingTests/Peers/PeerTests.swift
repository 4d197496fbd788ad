// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@Suite struct PeerTests {
  @Test("A peer serves a client word for word, and is content when all was said")
  func serving() async throws {
    try await withTestLoop { loop in
      let server = try loop.servePeers(port: 25) { peer in
        try await peer.send("220 ready\r\n")
        try await peer.expect("EHLO client\r\n")
        try await peer.send([UInt8]("250 hello\r\n".utf8))
        try await peer.expectEnd()
      }
      #expect(server.port == 25)
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: 25)
      #expect(try await reader.readLine() == Array("220 ready\r\n".utf8))
      try await writer.send("EHLO client\r\n")
      #expect(try await reader.readLine() == Array("250 hello\r\n".utf8))
      writer.close()
      try await server.finish()
      #expect(server.connectionCount == 1)
    }
  }

  @Test("A server of which nobody keeps more than the port serves on")
  func portAlone() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      try await network.host("both").run { loop in
        let port = try loop.servePeers { peer in try await peer.send("hello\n") }.port
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
        #expect(try await reader.readLine() == Array("hello\n".utf8))
        writer.close()
        try await writer.waitClosed()
      }
    }
  }

  @Test("What a client says in another way is told of, with where it differs")
  func surprise() async throws {
    try await withTestLoop { loop in
      let server = try loop.servePeers(port: 25) { peer in
        try await peer.expect("QUIT\r\n")
        try await peer.expect("NOTHING\r\n")
      }
      let (_, writer) = try await loop.openConnection(host: "127.0.0.1", port: 25)
      try await writer.send("QUIT\r\nNOTE\r\n")
      writer.close()
      let error = await #expect(throws: PeerError.self) { try await server.finish() }
      #expect(error?.position == 6)
      #expect(
        error?.description == #"the peer expected "NOTHING\x0D\x0A", and got "NOTE\x0D\x0A", which differs at byte 9"#)
    }
  }

  @Test("A client that ends too early, or says something where its end is due, is told of")
  func ends() async throws {
    try await withTestLoop { loop in
      let early = try loop.servePeers { peer in try await peer.expect("hello") }
      let (_, first) = try await loop.openConnection(host: "127.0.0.1", port: early.port)
      try await first.send("he")
      first.close()
      try await loop.waitAllTasksBlocked()
      let error = await #expect(throws: PeerError.self) { try await early.finish() }
      #expect(error?.isEnd == true && error?.received == Array("he".utf8))
      let late = try loop.servePeers { peer in try await peer.expectEnd() }
      let (_, second) = try await loop.openConnection(host: "127.0.0.1", port: late.port)
      try await second.send("more")
      second.close()
      try await loop.waitAllTasksBlocked()
      await #expect(throws: PeerError.self) { try await late.finish() }
    }
  }

  @Test("A peer speaks as slowly as it is told to, byte by byte")
  func slowly() async throws {
    try await withTestLoop { loop in
      let (peer, socket) = try loop.makePeer()
      let (reader, writer) = try await loop.openConnection(socket: socket)
      let begin = loop.time
      let speaking = loop.createTask { try await peer.send("hello\n", inPiecesOf: 1, every: .seconds(10)) }
      #expect(try await reader.readLine() == Array("hello\n".utf8))
      #expect(begin.duration(to: loop.time) == .seconds(50))
      try await speaking.value
      writer.close()
      peer.close()
    }
  }

  @Test("A reset is seen as one, and an end of sending as an end")
  func reset() async throws {
    try await withTestLoop { loop in
      var resets = false
      let server = try loop.servePeers { peer in
        try await peer.send("so long")
        try await peer.expect("bye")
        if resets { peer.reset() } else { try peer.endSending() }
      }
      for _ in 0..<2 {
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
        #expect(try await reader.readExactly(7) == Array("so long".utf8))
        try await writer.send("bye")
        if resets {
          await expectIOError(.connectionReset) { _ = try await reader.read() }
        } else {
          #expect(try await reader.read() == [])
        }
        writer.close()
        resets = true
      }
      try await server.finish(connections: 2)
    }
  }

  @Test("What is written to one of a pair is read from the other, both ways")
  func pair() async throws {
    try await withTestLoop { loop in
      let (one, other) = try await loop.makeStreamPair()
      let sender = loop.createTask { try await one.writer.send(pattern(1_000_000)) }
      #expect(try await other.reader.readExactly(1_000_000) == pattern(1_000_000))
      try await sender.value
      try await other.writer.send("back")
      #expect(try await one.reader.readExactly(4) == Array("back".utf8))
      one.writer.close()
      other.writer.close()
    }
  }

  @Test("A peer connects to a server under test")
  func connecting() async throws {
    try await withSimulatedNetwork(seed: 3) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.startEchoServer()
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let peer = try await loop.connectPeer(host: "server", port: 7)
        try await peer.send("hello")
        try await peer.expect("hello")
        try peer.endSending()
        try await peer.expectEnd()
        peer.close()
        await expectIOError(.connectionRefused) { _ = try await loop.connectPeer(host: "server", port: 8) }
      }
    }
  }

  @Test("A peer works on a real loop as well")
  func realLoop() async throws {
    try await EventLoop.runOnThread { loop in
      let server = try loop.servePeers { peer in
        try await peer.expect("ping")
        try await peer.send("pong")
      }
      let peer = try await loop.connectPeer(host: "127.0.0.1", port: server.port)
      try await peer.send("ping")
      try await peer.expect("pong")
      try await peer.expectEnd()
      peer.close()
      try await server.finish()
    }
  }
}
