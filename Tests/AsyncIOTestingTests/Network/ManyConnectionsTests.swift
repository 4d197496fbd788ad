// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Foundation
import SimulationFixtures
import Testing

/// `ASYNCIO_CONNECTIONS=10000` has more of them.
@Suite struct ManyConnectionsTests {
  @Test("A thousand connections at a time: each brings back what was sent or a beginning of it, and nothing is left")
  func thousand() async throws {
    let count = ProcessInfo.processInfo.environment["ASYNCIO_CONNECTIONS"].flatMap(Int.init) ?? 1000
    let (whole, failed) = try await withSimulatedNetwork(seed: 1) { network in
      let server = network.host("server")
      let clients = (0..<10).map { network.host("client\($0)") }
      server.startEchoServer()
      network.faultRates = FaultRates(refusals: 0.002, resets: 0.002)
      var (whole, failed) = (0, 0)
      let visits = clients.map { client in
        client.start { loop in
          let go = Event(loop)
          loop.callLater(.seconds(100)) { go.set() }
          try await loop.withLoopTaskGroup { group in
            for number in 0..<count / clients.count {
              group.createTask {
                // Not all at once, since the queue of those that wait to be accepted is short.
                try await loop.sleep(for: .milliseconds(50_000 * number * clients.count / count))
                let isWhole = try await exchange(pattern(3000), when: go, loop)
                if isWhole { whole += 1 } else { failed += 1 }
              }
            }
          }
        }
      }
      try await network.loop.sleep(for: .milliseconds(100_050))
      network.partition(server, clients[0])
      try await network.loop.sleep(for: .seconds(30))
      network.heal()
      for visit in visits { try await visit.value }
      return (whole, failed)
    }
    #expect(whole + failed == count / 10 * 10)
    #expect(failed > 0 && failed < count / 4, "\(failed) have failed")
  }
}

/// Connects, waits with all others, and has bytes sent back.
///
/// - Returns: whether all came back.
private func exchange(_ bytes: [UInt8], when go: Event, _ loop: EventLoop) async throws -> Bool {
  do {
    let (reader, writer) = try await loop.openConnection(host: "server", port: 7)
    defer { writer.close() }
    try await go.wait()
    try await writer.send(bytes)
    writer.writeEOF()
    let answer = try await reader.read()
    // A server that is refused something closes the connection.
    guard bytes.starts(with: answer) else { throw Violation(description: "other bytes came back") }
    return answer.count == bytes.count
  } catch is IOError {
    return false
  }
}
