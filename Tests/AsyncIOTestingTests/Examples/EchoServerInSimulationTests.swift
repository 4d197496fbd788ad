// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import SimulationFixtures
import Testing

@testable import echo_server

/// The echo server of the examples, as it is, on hosts in memory.
@Suite struct EchoServerInSimulationTests {
  @Test(
    "The echo server gives back what it gets, in order and once, and else the connection fails",
    arguments: ["streams", "callbacks"])
  func badNetwork(_ style: String) async throws {
    try await explore(seeds: 0..<40) { network in
      let server = network.host("server")
      let clients = (0..<3).map { network.host("client\($0)") }
      network.conditions = LinkConditions(latency: .milliseconds(1) ... .milliseconds(40))
      server.socketBufferSize = 5_000
      serve(on: server, style)
      network.faultRates = FaultRates(resets: 0.01)
      let visits = clients.map { client in
        client.start { loop in
          for size in [300, 9_000, 40_000] {
            try await loop.sleep(for: .milliseconds(20))
            let answer = try await answer(to: pattern(size), loop)
            guard pattern(size).starts(with: answer) else { throw Violation(description: "other bytes came back") }
          }
        }
      }
      try await network.loop.sleep(for: .milliseconds(60))
      network.partition(server, clients[0])
      network.resetConnections(between: server, and: clients[1])
      try await network.loop.sleep(for: .seconds(network.choose(20)))
      network.heal()
      if network.choose(2) == 0 {
        server.crash()
        try await network.loop.sleep(for: .seconds(3))
        try server.restart()
        serve(on: server, style)
      }
      for visit in visits { try await visit.value }
      network.faultRates = .none
      try await clients[2].run { loop in
        let answer = try await answer(to: pattern(5_000), loop)
        guard answer == pattern(5_000) else { throw Violation(description: "when all is well it is not") }
      }
    }
  }

  @Test("As a server of datagrams it sends back those that arrive, to who has sent them")
  func datagrams() async throws {
    try await explore(seeds: 0..<20) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      network.conditions = LinkConditions(
        latency: .zero ... .milliseconds(20), datagramLoss: 0.1, datagramDuplicates: 0.1)
      serve(on: server, "callbacks", "--udp")
      let violations = Violations()
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(1))
        let (transport, _) = try await loop.createDatagramEndpoint(
          { DatagramAsker(violations) }, remoteAddress: ("server", 7), family: .ipv4)
        for number in 0..<100 { transport.sendTo("\(number)") }
        try await loop.sleep(for: .seconds(1))
        transport.close()
      }
      try violations.check()
    }
  }
}

private func serve(on host: SimulatedHost, _ style: String, _ more: String...) {
  host.start { loop in
    let command = try EchoServer.parse(["--host", "0.0.0.0", "--port", "7", "--style", style] + more)
    try await command.serve(loop) { _ in }
  }
}

/// What comes back until the end, or until the connection fails.
private func answer(to bytes: [UInt8], _ loop: EventLoop) async throws -> [UInt8] {
  var received: [UInt8] = []
  do {
    let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
    defer { writer.close() }
    let sender = loop.createTask(name: "sender") {
      try await writer.send(bytes)
      writer.writeEOF()
    }
    try await loop.withTimeout(.seconds(100)) {
      for try await chunk in reader { received += chunk }
    }
    try await sender.value
  } catch is IOError {
  } catch is TimeoutError {
  }
  return received
}
