// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@Suite struct PartitionTests {
  @Test("A partition holds a stream up, and what was sent arrives once it is over")
  func heal() async throws {
    try await withEchoServer { network, server, client, loop in
      let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
      network.partition(server, client)
      loop.callLater(.seconds(60)) { network.heal(server, client) }
      let begin = loop.time
      try await writer.send("held up\n")
      #expect(try await reader.readLine() == Array("held up\n".utf8))
      let taken = begin.duration(to: loop.time)
      #expect(taken >= .seconds(60) && taken < .seconds(61))
      writer.close()
      try await writer.waitClosed()
    }
  }

  @Test("A partition that does not end lets a kernel give up after a quarter of an hour")
  func timeout() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.startEchoServer()
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
        network.block(from: client, to: server)
        let begin = loop.time
        try await writer.send("lost\n")
        await expectIOError(.timedOut) { _ = try await reader.readLine() }
        let taken = begin.duration(to: loop.time)
        #expect(taken > .seconds(900) && taken < .seconds(960))
        writer.close()
      }
      network.heal()
    }
  }

  @Test("Without an answer an attempt to connect is repeated, and given up after two minutes")
  func connecting() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.startEchoServer()
      network.partition(server, client)
      try await client.run { loop in
        let begin = loop.time
        await expectIOError(.timedOut) {
          _ = try await loop.openConnection(host: "server", port: 7, family: .ipv4)
        }
        #expect(begin.duration(to: loop.time) == .seconds(127))
        loop.callLater(.seconds(10)) { network.heal() }
        let again = loop.time
        let (_, writer) = try await loop.openConnection(host: "server", port: 7)
        let taken = again.duration(to: loop.time)
        // With the fourth packet, after 15 seconds.
        #expect(taken >= .seconds(15) && taken < .seconds(16))
        writer.close()
      }
    }
  }

  @Test("A handshake that a partition cuts short keeps no place in the queue of who listens")
  func lostHandshake() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      network.setConditions(LinkConditions(latency: .milliseconds(10)), between: server, and: client)
      server.start { loop in
        // One place.
        let server = try await loop.startServer(port: 7, backlog: 0) { _, _ in }
        try await server.serveForever()
      }
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        network.block(from: server, to: client)
        loop.callLater(.milliseconds(500)) { network.heal() }
        let begin = loop.time
        let (_, writer) = try await loop.openConnection(host: "10.0.0.1", port: 7)
        #expect(begin.duration(to: loop.time) == .milliseconds(1020))
        writer.close()
      }
    }
  }

  @Test("Half-open: who was cut off and only reads never hears of the other's end")
  func halfOpen() async throws {
    try await withEchoServer { network, server, client, loop in
      let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
      try await loop.sleep(for: .seconds(1))
      server.crash()
      await #expect(throws: TimeoutError.self) {
        try await loop.withTimeout(.seconds(3600)) { _ = try await reader.read() }
      }
      // The host is up again and knows nothing: who sends something is told.
      try server.restart()
      try await writer.send("anybody there?")
      await expectIOError(.connectionReset) { _ = try await reader.read() }
      writer.close()
    }
  }

  @Test(
    "Who waits for room at a host that has crashed hears of it after a quarter of an hour, or when that is up again",
    arguments: [true, false])
  func blockedByCrash(restarts: Bool) async throws {
    for seed in 0..<20 as Range<UInt64> {
      try await withSimulatedNetwork(seed: seed) { network in
        let (server, client) = (network.host("server"), network.host("client"))
        for host in network.hosts { host.socketBufferSize = 10_000 }
        server.start { loop in
          let server = try await loop.startServer(port: 7) { _, _ in try await Event(loop).wait() }
          try await server.serveForever()
        }
        try await client.run { loop in
          try await loop.sleep(for: .seconds(1))
          let (_, writer) = try await loop.openConnection(host: "server", port: 7)
          let sending = loop.createTask { try await writer.send(pattern(1_000_000)) }
          try await loop.sleep(for: .seconds(10))
          let begin = loop.time
          server.crash()
          if restarts { loop.callLater(.seconds(60)) { try server.restart() } }
          await expectIOError(restarts ? .connectionReset : .timedOut) { try await sending.value }
          let taken = begin.duration(to: loop.time)
          #expect(restarts ? taken < .seconds(70) : taken > .seconds(900), "\(taken)")
          writer.close()
        }
      }
    }
  }

  @Test("That a connection is gone is told even if the first answer that says so is lost")
  func lostReset() async throws {
    try await withEchoServer { network, server, client, loop in
      let peer = try await loop.connectPeer(host: "server", port: 7)
      try await loop.sleep(for: .seconds(1))
      server.crash()
      try server.restart()
      network.block(from: server, to: client)
      loop.callLater(.seconds(60)) { network.heal() }
      let begin = loop.time
      try await peer.send("anybody there?")
      await expectIOError(.connectionReset) { _ = try await peer.receive() }
      let taken = begin.duration(to: loop.time)
      #expect(taken >= .seconds(60) && taken < .seconds(61), "\(taken)")
      peer.close()
    }
  }

  @Test("A crash runs nothing of the host's any more, and a restart begins anew")
  func crash() async throws {
    try await withSimulatedNetwork(seed: 2) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      var ticks = 0
      func start() {
        server.startEchoServer()
        server.start { loop in
          while true {
            try await loop.sleep(for: .seconds(1))
            ticks += 1
          }
        }
      }
      start()
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(5500))
        server.crash()
        #expect(!server.isUp)
        try await loop.sleep(for: .seconds(60))
        #expect(ticks == 5)
        try server.restart()
        start()
        let answer = try await loop.exchange(pattern(1000), with: "server")
        #expect(answer == pattern(1000))
      }
      await #expect(throws: SimulationError.self) {
        try await client.run { _ in client.crash() }
      }
    }
  }

  @Test("A reset tells both ends at once, and what had arrived can be read")
  func reset() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.startEchoServer()
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
        try await writer.send("before")
        try await loop.sleep(for: .seconds(1))
        network.resetConnections(between: server, and: client)
        #expect(try await reader.readExactly(6) == Array("before".utf8))
        await expectIOError(.connectionReset) { _ = try await reader.read() }
        writer.close()
      }
      try await network.loop.waitAllTasksBlocked()
      #expect(server.reportedErrors.count == 1)
    }
  }

  @Test("A reset that comes by itself is told at the other end too, although that only reads")
  func resetByChance() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      let peers = try server.loop.servePeers(host: "0.0.0.0", port: 7) { peer in
        await expectIOError(.connectionReset) { _ = try await peer.receive() }
      }
      try await client.run { loop in
        let peer = try await loop.connectPeer(host: "server", port: 7)
        try await loop.sleep(for: .seconds(1))
        network.faultRates = FaultRates(resets: 1)
        await expectIOError(.connectionReset) { try await peer.send("x") }
        network.faultRates = .none
        try await loop.sleep(for: .seconds(1))
        peer.close()
      }
      try await server.run { _ in try await peers.finish() }
    }
  }

  @Test("What the kernel had got before a reset can be read, then the reset is told, then the end")
  func unreadBeforeReset() async throws {
    try await withEchoServer { network, server, client, loop in
      let peer = try await loop.connectPeer(host: "server", port: 7)
      try await peer.send("before")
      try await loop.sleep(for: .seconds(1))
      network.resetConnections(between: server, and: client)
      try await peer.expect("before")
      await expectIOError(.connectionReset) { _ = try await peer.receive() }
      #expect(try await peer.receive() == [])
      await expectIOError(.brokenPipe) { try await peer.send("after") }
      peer.close()
    }
  }

  @Test("Who closes without having read everything resets the connection, and who has read everything ends it")
  func unreadAtClose() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      for readsAll in [true, false] {
        let peers = try server.loop.servePeers(host: "0.0.0.0", port: 7) { peer in
          try await peer.expect(readsAll ? "hello" : "hel")
          try await server.loop.sleep(for: .seconds(1))
        }
        try await client.run { loop in
          let peer = try await loop.connectPeer(host: "server", port: 7)
          try await peer.send("hello")
          if readsAll {
            try await peer.expectEnd()
          } else {
            await expectIOError(.connectionReset) { _ = try await peer.receive() }
          }
          peer.close()
        }
        try await server.run { _ in try await peers.finish() }
      }
    }
  }
}
