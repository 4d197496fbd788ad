// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Testing

@Suite struct SimulatedDatagramTests {
  private final class Receiver: DatagramProtocol {
    var transport: DatagramTransport?
    var received: [[UInt8]] = []
    var errors: [IOError] = []
    var answers = false

    func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
    func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {
      received.append((0..<data.count).map { data[$0] })
      if answers { transport?.sendTo(data, sender) }
    }
    func errorReceived(_ error: any Error) { if let error = error as? IOError { errors.append(error) } }
  }

  /// Sends 1000 datagrams from one host to another, and returns their numbers as they arrived.
  private func arrivals(_ conditions: LinkConditions, seed: UInt64 = 1) async throws -> [Int] {
    try await withSimulatedNetwork(seed: seed) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      network.setConditions(conditions, between: server, and: client)
      let receiver = Receiver()
      try await server.run { loop in
        _ = try await loop.createDatagramEndpoint({ receiver }, localAddress: ("0.0.0.0", 9))
      }
      try await client.run { loop in
        let (transport, _) = try await loop.createDatagramEndpoint(
          Receiver.init, remoteAddress: ("server", 9), family: .ipv4)
        for number in 0..<1000 {
          transport.sendTo("\(number)")
          try await loop.sleep(for: .microseconds(100))
        }
        transport.close()
        try await loop.sleep(for: .seconds(1))
      }
      receiver.transport?.close()
      return receiver.received.compactMap { Int(String(decoding: $0, as: UTF8.self)) }
    }
  }

  @Test("On a perfect way each arrives once and in order")
  func perfect() async throws {
    #expect(try await arrivals(.perfect) == Array(0..<1000))
  }

  @Test("Some are lost, as many as the conditions say")
  func loss() async throws {
    let seen = try await arrivals(LinkConditions(datagramLoss: 0.2))
    #expect(seen.count > 700 && seen.count < 900)
    #expect(seen == seen.sorted())
  }

  @Test("Some arrive twice, as many as the conditions say")
  func duplicates() async throws {
    let seen = try await arrivals(LinkConditions(datagramDuplicates: 0.2))
    #expect(seen.count > 1100 && seen.count < 1300)
    #expect(Set(seen) == Set(0..<1000))
  }

  @Test("Where the latency varies, they overtake one another")
  func reorder() async throws {
    let seen = try await arrivals(LinkConditions(latency: .milliseconds(1) ... .milliseconds(5)))
    #expect(seen != seen.sorted())
    #expect(seen.sorted() == Array(0..<1000))
  }

  @Test("Answers come back to where the question came from, on hosts' own addresses and on loopback")
  func answers() async throws {
    try await withSimulatedNetwork(seed: 4) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      let receiver = Receiver()
      receiver.answers = true
      try await server.run { loop in
        _ = try await loop.createDatagramEndpoint({ receiver }, localAddress: ("0.0.0.0", 9))
      }
      for (host, name) in [(client, "server"), (server, "127.0.0.1"), (server, "server")] {
        try await host.run { loop in
          let (transport, own) = try await loop.createDatagramEndpoint(
            Receiver.init, remoteAddress: (name, 9), family: .ipv4)
          transport.sendTo("hello")
          try await loop.sleep(for: .seconds(1))
          #expect(own.received == [Array("hello".utf8)], "from \(host.name) by \(name)")
          transport.close()
        }
      }
      receiver.transport?.close()
    }
  }

  @Test("Nobody receives there: who is connected is told")
  func refused() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let client = network.host("client")
      _ = network.host("server")
      try await client.run { loop in
        let (transport, receiver) = try await loop.createDatagramEndpoint(
          Receiver.init, remoteAddress: ("server", 9), family: .ipv4)
        transport.sendTo("hello")
        try await loop.sleep(for: .seconds(1))
        #expect(receiver.errors.map(\.code) == [.connectionRefused])
        transport.close()
      }
    }
  }

  @Test("What is sent during a partition is lost")
  func partition() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      let receiver = Receiver()
      try await server.run { loop in
        _ = try await loop.createDatagramEndpoint({ receiver }, localAddress: ("0.0.0.0", 9))
      }
      try await client.run { loop in
        let (transport, _) = try await loop.createDatagramEndpoint(
          Receiver.init, remoteAddress: ("server", 9), family: .ipv4)
        network.partition(server, client)
        transport.sendTo("lost")
        try await loop.sleep(for: .seconds(1))
        network.heal()
        transport.sendTo("found")
        try await loop.sleep(for: .seconds(1))
        transport.close()
      }
      #expect(receiver.received == [Array("found".utf8)])
      receiver.transport?.close()
    }
  }

  @Test("Who is connected to a peer hears nothing of others")
  func strangers() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (one, other) = (network.host("one"), network.host("other"))
      try await one.run { loop in
        let (transport, receiver) = try await loop.createDatagramEndpoint(
          Receiver.init, localAddress: ("10.0.0.1", 9), remoteAddress: ("10.0.0.2", 9))
        try await other.run { loop in
          for port in [9, 10] {
            let (sender, _) = try await loop.createDatagramEndpoint(
              Receiver.init, localAddress: ("10.0.0.2", port), remoteAddress: ("10.0.0.1", 9))
            sender.sendTo("from \(port)")
            sender.close()
          }
        }
        try await loop.sleep(for: .seconds(1))
        #expect(receiver.received == [Array("from 9".utf8)])
        transport.close()
      }
    }
  }

  @Test("Unix endpoints of one host reach each other by their paths")
  func unix() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      try await network.host("one").run { loop in
        let (first, receiver) = try await loop.createDatagramEndpoint(Receiver.init, localPath: "/run/first")
        let (second, _) = try await loop.createDatagramEndpoint(
          Receiver.init, localPath: "/run/second", remotePath: "/run/first")
        for number in 0..<100 { second.sendTo("\(number)") }
        try await loop.sleep(for: .seconds(1))
        #expect(receiver.received.count == 100)
        first.close()
        second.close()
      }
    }
  }
}
