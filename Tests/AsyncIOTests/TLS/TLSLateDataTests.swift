// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// Peers that go on sending after our close: they cost no more than a limit, whichever way the close came about.
@Suite struct TLSLateDataTests {
  /// A client that sends without an end, by hand, and counts.
  private final class Flood {
    let peer: Peer
    let hand: HandDrivenTLS
    private(set) var sentCount = 0
    private(set) var isOver = false
    private let block = pattern(64 * 1024)
    private var waiting: [UInt8] = []

    init(_ peer: Peer, _ hand: HandDrivenTLS) { (self.peer, self.hand) = (peer, hand) }

    static func connect(to server: Server, _ loop: EventLoop, _ kernel: TestKernel) async throws -> Flood {
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      let hand = try HandDrivenTLS(clientTLS(), .client(serverName: "localhost"))
      try await hand.handshake(peer, on: loop)
      return Flood(peer, hand)
    }

    /// Sends as much as there is room for.
    func pour() throws {
      while !isOver {
        if waiting.isEmpty {
          try hand.send(block)
          waiting = hand.takeOutgoing()
        }
        do throws(Errno) {
          let count = try LinuxKernel.shared.send(peer.socket.descriptor, waiting.span)
          waiting.removeFirst(count)
          sentCount += count
        } catch {
          isOver = error != .wouldBlock
          return
        }
      }
    }
  }

  /// The limit, and what the kernel's buffers on both sides may hold.
  private static let most = TLSStage.lateLimit + 16 * 1024 * 1024

  @Test("A peer that sends for ever after our close is cut off, also when reading is paused", arguments: [false, true])
  func floods(paused: Bool) throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true)
      let flood = Flood(test.peer, test.hand)
      if paused { test.recorder.transport.pauseReading() }
      test.recorder.transport.write("the last word")
      test.recorder.transport.close()
      try await loop.until {
        try flood.pour()
        return test.recorder.isLost
      }
      #expect(test.recorder.calls == [.made, .lost(.connectionAbort)])
      #expect(test.recorder.ioLoss?.operation == "TLS shutdown")
      #expect(test.recorder.ioLoss.map { "\($0)".contains("went on sending") } == true)
      // Small buffers: little more than the limit.
      #expect((TLSStage.lateLimit..<TLSStage.lateLimit + 2_000_000).contains(flood.sentCount), "\(flood.sentCount)")
      #expect(test.tls.living == 0)
    }
  }

  @Test("What was under way when the peer heard of our close does no harm")
  func underWay() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel)
      // What came before the close does not count.
      let block = pattern(1_000_000)
      let before = TLSStage.lateLimit / block.count + 1
      for _ in 0..<before {
        try test.hand.send(block)
        try await test.peer.sendAll(test.hand.takeOutgoing(), on: loop)
      }
      try await loop.until { test.recorder.received.count == before * block.count }
      test.recorder.transport.close()
      try test.hand.send(pattern(900_000))
      test.hand.close()
      try await test.peer.sendAll(test.hand.takeOutgoing(), on: loop)
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.calls == [.made, .data, .lost(nil)])
      #expect(test.recorder.received.count == before * block.count)
    }
  }

  @Test("A stream that was cut short is told as that, also when the peer then runs into the limit of the close")
  func truncatedFirst() throws {
    try runLoop { loop, kernel in
      let test = try await TLSEnd(loop, kernel, smallBuffers: true, shutdownTimeout: .seconds(3))
      test.recorder.transport.write(pattern(plenty))
      try test.peer.shutDownWriting()
      try await loop.until { test.recorder.transport.isClosing }
      kernel.advanceClock(by: .seconds(4))
      try await loop.until { test.recorder.isLost }
      #expect(test.recorder.tlsLoss?.code == .truncated)
    }
  }

  @Test("A dropped writer, closeClients, and a cancelled serveForever cut such a peer off as well", arguments: 0..<3)
  func otherCloses(way: Int) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      if way == 0 {
        let server = try await loop.startServer(host: "127.0.0.1", port: 0, tls: .server(serverTLS())) { _, _ in }
        try await expectCutOff(server, loop, kernel) {}
        server.close()
      } else {
        let (server, _) = try await tlsServer(loop)
        let serving = loop.createTask { try await server.serveForever() }
        try await expectCutOff(server, loop, kernel) {
          if way == 1 { server.closeClients() } else { serving.cancel() }
        }
        server.close()
        if way == 1 {
          try await serving.value
        } else {
          await #expect(throws: CancellationError.self) { try await serving.value }
        }
      }
      #expect(errors.messages == [])
    }
  }

  private func expectCutOff(
    _ server: Server, _ loop: EventLoop, _ kernel: TestKernel, _ close: () -> Void
  ) async throws {
    let flood = try await Flood.connect(to: server, loop, kernel)
    try await loop.until { server.connectionCount == 1 }
    close()
    try await loop.until("the peer is cut off") {
      try flood.pour()
      return flood.isOver
    }
    #expect(flood.sentCount < TLSLateDataTests.most, "\(flood.sentCount) bytes were taken")
    try await loop.until { server.connectionCount == 0 }
    flood.peer.close()
  }
}
