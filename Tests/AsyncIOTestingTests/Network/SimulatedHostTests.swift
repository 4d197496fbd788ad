// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Foundation
import SimulationFixtures
import SystemPackage
import Testing

@Suite struct SimulatedHostTests {
  @Test("Names are looked up in the network: hosts, names that were set, and such as fail")
  func names() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let client = network.host("client")
      _ = network.host("server", addresses: ["10.1.2.3", "fd01::3"])
      network.setName("www.example.org", to: ["10.1.2.3"])
      network.failLookUps(of: "slow.example.org", with: .tryAgain)
      try await client.run { loop in
        func addresses(_ host: String?) async throws -> [String] {
          try await loop.getaddrinfo(host: host, service: "http", type: .stream).map(\.address.description)
        }
        #expect(try await addresses("server") == ["10.1.2.3:80", "[fd01::3]:80"])
        #expect(try await addresses("www.example.org") == ["10.1.2.3:80"])
        #expect(try await addresses("localhost") == ["[::1]:80", "127.0.0.1:80"])
        #expect(try await addresses("192.0.2.1") == ["192.0.2.1:80"])
        for name in ["slow.example.org", "nobody"] {
          await #expect(throws: ResolutionError.self) { _ = try await addresses(name) }
        }
        network.failLookUps(of: "slow.example.org", with: nil)
        let address = try #require(SocketAddress(ip: "10.1.2.3", port: 443))
        #expect(try await loop.getnameinfo(address) == NameInfo.expected("server", "https"))
      }
    }
  }

  @Test("A look-up takes its time, and a limit ends the wait for it")
  func slowLookUp() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let client = network.host("client")
      _ = network.host("server")
      network.lookUpLatency = .seconds(5) ... .seconds(5)
      try await client.run { loop in
        let begin = loop.time
        _ = try await loop.getaddrinfo(host: "server")
        #expect(begin.duration(to: loop.time) == .seconds(5))
        await #expect(throws: TimeoutError.self) {
          try await loop.withTimeout(.seconds(1)) { _ = try await loop.getaddrinfo(host: "server") }
        }
        #expect(begin.duration(to: loop.time) == .seconds(6))
      }
    }
  }

  @Test("Clocks of hosts differ, and each host's timers go by its own")
  func clocks() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let exact = network.host("exact")
      let fast = network.host("fast", clockOffset: .seconds(100), clockDrift: 1000)
      let slow = network.host("slow", clockDrift: -1000)
      #expect(exact.loop.time.duration(to: fast.loop.time) == .seconds(100))
      for (host, expected) in [(exact, 1000.0), (fast, 1000 / 1.001), (slow, 1000 / 0.999)] {
        let begin = network.time
        try await host.run { loop in
          let start = loop.time
          try await loop.sleep(for: .seconds(1000))
          #expect(start.duration(to: loop.time) >= .seconds(1000))
        }
        let taken = (network.time - begin) / .seconds(1)
        #expect(abs(taken - expected) < 0.001, "\(host.name) took \(taken)")
      }
    }
  }

  @Test("A kernel that was told to refuses a call, so often, after so many")
  func refusals() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let host = network.host("host")
      try await host.run { loop in
        host.refuse(.socket, with: .noMemory, times: 2, skipping: 1)
        try host.makeSocket(.ipv4).close()
        for _ in 0..<2 { await expectIOError(.noMemory) { _ = try host.makeSocket(.ipv4) } }
        try host.makeSocket(.ipv4).close()
        host.refuse(.bind, with: .permissionDenied)
        await expectIOError(.permissionDenied) { _ = try await loop.startServer(port: 80) { _, _ in } }
        host.refuse(.bind, with: .permissionDenied)
        host.refuseNothing()
        try await loop.startServer(port: 80) { _, _ in }.close()
      }
    }
  }

  @Test("Every call is refused with every error that it may give, and nothing of the host's is left open")
  func everyRefusal() async throws {
    for call in KernelCall.allCases {
      for error in call.refusals {
        for skip in 0..<4 {
          try await withSimulatedNetwork(seed: 1) { network in
            let (server, client) = (network.host("server"), network.host("client"))
            server.startEchoServer()
            try await client.run { loop in
              try await loop.sleep(for: .seconds(1))
              server.refuse(call, with: error, skipping: skip)
              client.refuse(call, with: error, skipping: skip)
              // It may fail, but has to end.
              _ = try? await loop.exchange(pattern(10_000), with: "server")
              server.refuseNothing()
              client.refuseNothing()
              #expect(try await loop.exchange(pattern(100), with: "server") == pattern(100), "\(call) \(error)")
            }
          }
        }
      }
    }
  }

  @Test("A host has as many descriptors as its limit says, and the server goes on when there are some again")
  func descriptorLimit() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.descriptorLimit = 4
      server.startEchoServer()
      try await client.run { loop in
        try await loop.sleep(for: .seconds(1))
        let exchanges = (0..<40 as Range<UInt8>).map { number in
          loop.createTask { try await loop.exchange([number], with: "server") }
        }
        for (number, exchange) in exchanges.enumerated() {
          let answer = try await exchange.value
          #expect(answer == [UInt8(number)])
        }
      }
      #expect(!server.reportedErrors.isEmpty)
    }
  }

  @Test("A port is one server's at a time, unless all share it; other hosts have ports of their own")
  func ports() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      let (one, other) = (network.host("one"), network.host("other"))
      try await one.run { loop in
        let first = try await loop.startServer(host: "127.0.0.1", port: 80) { _, _ in }
        for host in ["127.0.0.1", "0.0.0.0"] {
          await expectIOError(.addressInUse) { _ = try await loop.startServer(host: host, port: 80) { _, _ in } }
        }
        // Another address of the host's has a port of its own.
        try await loop.startServer(host: "10.0.0.1", port: 80) { _, _ in }.close()
        first.close()
        let shared = try await loop.startServer(host: "127.0.0.1", port: 80, reusePort: true) { _, _ in }
        try await loop.startServer(host: "127.0.0.1", port: 80, reusePort: true) { _, _ in }.close()
        await expectIOError(.addressInUse) { _ = try await loop.startServer(host: "127.0.0.1", port: 80) { _, _ in } }
        shared.close()
        await expectIOError(.addressNotAvailable) {
          _ = try await loop.startServer(host: "10.0.0.2", port: 80) { _, _ in }
        }
      }
      try await other.run { loop in try await loop.startServer(host: "10.0.0.2", port: 80) { _, _ in }.close() }
    }
  }

  @Test("A child process is not to be had, nor a terminal, and the error names the call")
  func children() async throws {
    try await withSimulatedNetwork(seed: 1) { network in
      try await network.host("host").run { loop in
        func message(_ body: () async throws -> Void) async -> String {
          do { try await body() } catch { return "\(error)" }
          return "it succeeded"
        }
        let program = await message { _ = try await loop.createSubprocessExec("true", stdout: .pipe) }
        #expect(program == "clone true: Function not implemented (ENOSYS)")
        let silent = await message { _ = try await loop.createSubprocessShell("true", stdout: .null) }
        #expect(silent == "open /dev/null: Function not implemented (ENOSYS)")
        let terminal = await message {
          _ = try await loop.subprocessExec({ NoSubprocess() }, "sh", on: .pty())
        }
        #expect(terminal.contains("Function not implemented (ENOSYS)"), "\(terminal)")
      }
    }
  }

  @Test("Files are the real ones, and what is sent of them arrives")
  func files() async throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "asyncio-testing-\(UUID())")
    try Data(pattern(50_000)).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    try await explore(seeds: 0..<10) { network in
      let (server, client) = (network.host("server"), network.host("client"))
      server.start { loop in
        let server = try await loop.startServer(port: 80) { _, writer in
          let file = try FileDescriptor.open(file.path, .readOnly)
          defer { try? file.close() }
          try await writer.sendFile(file, offset: 1000)
          if try file.seek(offset: 0, from: .current) != 50_000 { throw Violation(description: "its position") }
        }
        try await server.serveForever()
      }
      try await client.run { loop in
        try await loop.sleep(for: .milliseconds(1))
        let (reader, writer) = try await loop.openConnection(host: "server", port: 80)
        defer { writer.close() }
        guard try await reader.read() == Array(pattern(50_000).dropFirst(1000)) else {
          throw Violation(description: "other bytes")
        }
      }
      if let report = server.reportedErrors.first { throw Violation(description: report.description) }
    }
  }
}

private final class NoSubprocess: SubprocessProtocol {}

extension NameInfo {
  fileprivate static func expected(_ host: String, _ service: String) -> NameInfo {
    NameInfo(host: host, service: service)
  }
}
