// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// What is done to many at once is done in the order in which they came, so that two runs of a program are the same.
@Suite struct CancellationOrderTests {
  @Test("a group cancels its tasks in the order in which they were made")
  func group() throws {
    try runLoop { loop, _ in
      var order: [Int] = []
      try await loop.withLoopTaskGroup(of: Void.self) { group in
        for number in 0..<20 {
          group.createTask {
            do { try await loop.sleep(for: .seconds(1000)) } catch { order.append(number) }
          }
        }
        try await loop.turn()
        group.cancel()
      }
      #expect(order == Array(0..<20))
    }
  }

  @Test("a server ends its connections in the order in which it accepted them")
  func server() throws {
    try runLoop { loop, kernel in
      var accepted: [ObjectIdentifier] = []
      var lost: [ObjectIdentifier] = []
      let server = try await loop.createServer(
        { OrderProtocol(made: { accepted.append($0) }, lost: { lost.append($0) }) }, host: "127.0.0.1", port: 0)
      let address = try #require(server.address)
      var peers: [Peer] = []
      for number in 1...20 {
        peers.append(try await Peer.connect(to: address, loop, kernel))
        try await loop.until { accepted.count == number }
      }
      server.abortClients()
      try await loop.until { lost.count == 20 }
      #expect(lost == accepted)
      for peer in peers { peer.close() }
      server.close()
    }
  }
}

private final class OrderProtocol: StreamProtocol {
  private let made: (ObjectIdentifier) -> Void
  private let lost: (ObjectIdentifier) -> Void

  init(made: @escaping (ObjectIdentifier) -> Void, lost: @escaping (ObjectIdentifier) -> Void) {
    self.made = made
    self.lost = lost
  }

  func connectionMade(_ transport: StreamTransport) { made(ObjectIdentifier(self)) }
  func connectionLost(_ error: (any Error)?) { lost(ObjectIdentifier(self)) }
}
