// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@Suite struct SimulatedStreamTests {
  @Test("Bytes cross the network in order and whole, whatever they are cut into", arguments: 0..<20 as Range<UInt64>)
  func echo(seed: UInt64) async throws {
    try await withSimulatedNetwork(seed: seed) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.startEchoServer()
      let bytes = pattern(300_000)
      let answer = try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        return try await loop.exchange(bytes, with: "server")
      }
      #expect(answer == bytes)
      #expect(server.reportedErrors.isEmpty)
    }
  }

  @Test("A byte takes as long as the way is long, there and back")
  func latency() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      network.setConditions(LinkConditions(latency: .milliseconds(50)), between: server, and: client)
      server.startEchoServer()
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let begin = loop.time
        let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
        #expect(begin.duration(to: loop.time) == .milliseconds(100))
        try await writer.send("x")
        _ = try await reader.readExactly(1)
        #expect(begin.duration(to: loop.time) == .milliseconds(200))
        writer.close()
        try await writer.waitClosed()
      }
    }
  }

  @Test("A slow way takes the time that its bandwidth says")
  func bandwidth() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      network.setConditions(
        LinkConditions(latency: .zero, bytesPerSecond: 10_000), between: server, and: client)
      server.startEchoServer()
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let begin = loop.time
        _ = try await loop.exchange(pattern(50_000), with: "server")
        let taken = begin.duration(to: loop.time)
        #expect(taken >= .seconds(5) && taken < .seconds(6), "\(taken)")
      }
    }
  }

  @Test("A receiver that does not read holds its sender up, as full buffers do")
  func fullBuffers() async throws {
    try await withSimulatedNetwork(seed: 3) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      client.socketBufferSize = 10_000
      var received = 0
      server.start { loop in
        let server = try await loop.startServer(port: 7) { reader, _ in
          try await loop.sleep(for: .seconds(100))
          received = try await reader.read(-1).count
        }
        try await server.serveForever()
      }
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let (_, writer) = try await loop.openConnection(host: "server", port: 7)
        let begin = loop.time
        try await writer.send(pattern(1_000_000))
        #expect(begin.duration(to: loop.time) > .seconds(99))
        writer.close()
        try await writer.waitClosed()
        try await loop.sleep(for: .seconds(10))
      }
      #expect(received == 1_000_000)
    }
  }

  @Test("Nobody listens: the connection is refused after the way there and back")
  func refused() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      network.setConditions(LinkConditions(latency: .milliseconds(5)), between: server, and: client)
      try await client.run { loop in
        let begin = loop.time
        await expectIOError(.connectionRefused) {
          _ = try await loop.openConnection(host: "server", port: 7, family: .ipv4)
        }
        #expect(begin.duration(to: loop.time) == .milliseconds(10))
      }
    }
  }

  @Test("An address that nobody has is unreachable, and so is a family that the host does not speak")
  func unreachable() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let client = network.host("client", addresses: ["10.1.1.1"])
      try await client.run { loop in
        await expectIOError(.noRouteToHost) { _ = try await loop.openConnection(host: "10.9.9.9", port: 7) }
        await expectIOError(.networkUnreachable) { _ = try await loop.openConnection(host: "fd00::9", port: 7) }
      }
    }
  }

  @Test("Who listens with a full queue is tried again until there is room")
  func queueOverflow() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.start { loop in
        let socket = try server.makeSocket(.ipv4)
        try socket.bind(to: try #require(SocketAddress(ip: "0.0.0.0", port: 7)))
        try socket.listen(backlog: 1)
        try await loop.sleep(for: .seconds(20))
        for _ in 0..<5 { try await loop.sockAccept(socket).connection.close() }
        socket.close()
      }
      let times = try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let begin = loop.time
        let connections = (0..<5).map { _ in
          loop.createTask {
            let (_, writer) = try await loop.openConnection(host: "server", port: 7, family: .ipv4)
            let time = begin.duration(to: loop.time)
            writer.close()
            return time
          }
        }
        var times: [Duration] = []
        for connection in connections { times.append(try await connection.value) }
        return times.sorted()
      }
      #expect(times[1] < .seconds(1))
      #expect(times[2] >= .seconds(19), "\(times)")
    }
  }

  @Test("Unix sockets of one host meet by their paths, and other hosts have paths of their own")
  func unixSockets() async throws {
    try await withSimulatedNetwork(seed: 5) { network in
      let (one, two) = (network.host("one"), network.host("two"))
      one.start { loop in
        let server = try await loop.startUnixServer(path: "/run/echo") { reader, writer in
          for try await chunk in reader { try await writer.send(chunk) }
        }
        try await server.serveForever()
      }
      try await one.run { loop in
        try await loop.sleep(for: .seconds(1))
        let (reader, writer) = try await loop.openUnixConnection(path: "/run/echo")
        try await writer.send(pattern(500_000))
        writer.writeEOF()
        let answer = try await reader.read(-1)
        #expect(answer == pattern(500_000))
        writer.close()
        try await writer.waitClosed()
      }
      try await two.run { loop in
        await expectIOError(.noSuchFileOrDirectory) { _ = try await loop.openUnixConnection(path: "/run/echo") }
      }
    }
  }
}
