// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Testing

@Suite struct LeftoverTests {
  /// The lines that tell what was left by a test.
  private func leftBy(_ body: sending @escaping (EventLoop) async throws -> Void) async -> [String] {
    do {
      try await withTestLoop(body)
    } catch let error as SimulationError where error.code == .leftovers {
      return error.description.split(separator: "\n").dropFirst().map(String.init)
    } catch {
      Issue.record("it failed with something else: \(error)")
    }
    return []
  }

  @Test("A task that is left is named, with where it was made and what it waits for")
  func task() async throws {
    let left = await leftBy { loop in
      loop.createTask(name: "forgotten") { try await Event(loop).wait() }
    }
    try #require(left.count == 1)
    #expect(left[0].hasPrefix("  task \"forgotten\" (AsyncIOTestingTests/LeftoverTests.swift:"))
    #expect(left[0].hasSuffix("waits in Event.wait"))
  }

  @Test("A timer that is left is named, with where it was set")
  func timer() async throws {
    let left = await leftBy { loop in loop.callLater(.seconds(9)) {} }
    try #require(left.count == 1)
    #expect(left[0].hasPrefix("  a timer for 9.0 seconds, set at AsyncIOTestingTests/LeftoverTests.swift:"))
  }

  @Test("A server that is left is named, with its address")
  func server() async throws {
    let left = await leftBy { loop in
      _ = try await loop.startServer(host: "127.0.0.1", port: 8080) { _, _ in }
    }
    #expect(left == ["  a listening socket 127.0.0.1:8080, descriptor 1000"])
  }

  @Test("An open connection is named at both ends")
  func connection() async throws {
    let left = await leftBy { loop in
      let server = try await loop.createServer(Silent.init, host: "127.0.0.1", port: 8080)
      let (transport, _) = try await loop.createConnection(Silent.init, host: "127.0.0.1", port: 8080)
      try await loop.waitAllTasksBlocked()
      server.close()
      loop.setExceptionHandler { _, _ in _ = transport }
    }
    try #require(left.count == 2)
    #expect(left[0] == "  a connection with 127.0.0.1:8080, descriptor 1001")
    #expect(left[1].hasPrefix("  a connection with 127.0.0.1:"))
  }

  @Test("An error of the test's own is thrown in the place of what it has left")
  func ownError() async throws {
    await #expect(throws: Own.self) {
      try await withTestLoop { loop in
        loop.callLater(.seconds(9)) {}
        throw Own()
      }
    }
  }

  @Test("What is on its way to an end when the test returns is given the time that this takes")
  func onItsWay() async throws {
    try await withTestLoop { loop in
      let server = try await loop.startServer(host: "localhost", port: 80) { reader, writer in
        for try await chunk in reader { try await writer.send(chunk) }
      }
      let (reader, writer) = try await loop.openConnection(host: "localhost", port: 80)
      try await writer.send("hello\n")
      #expect(try await reader.readLine() == Array("hello\n".utf8))
      writer.close()
      server.close()
    }
  }

  @Test("A timer on a host that comes up by itself is given the time for that; one that is set anew for ever is not")
  func timersOfHosts() async throws {
    let fired = try await withSimulatedNetwork(seed: 1) { network in
      let fired = Fired()
      try await network.host("host").run { loop in
        _ = loop.callLater(.seconds(60)) { fired.isSo = true }
      }
      return fired
    }
    #expect(fired.isSo)
    let error = await #expect(throws: SimulationError.self) {
      try await withSimulatedNetwork(seed: 1) { network in
        try await network.host("host").run { loop in
          func again() { loop.callLater(.seconds(60)) { again() } }
          again()
        }
      }
    }
    #expect(error?.code == .leftovers)
  }

  private struct Own: Error {}

  /// Looked at when the network is over.
  private final class Fired: @unchecked Sendable { var isSo = false }
}

private final class Silent: StreamProtocol {}
