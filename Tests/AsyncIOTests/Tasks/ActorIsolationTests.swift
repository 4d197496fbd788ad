// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// Async calls from code that an actor on the loop isolates, as `MainActor` does with a program's main file.
@Suite struct ActorIsolationTests {
  /// An actor whose executor is the loop's, as `MainActor`'s is once the loop has adopted it.
  private actor Resident {
    private let executor: LoopSerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ executor: LoopSerialExecutor) { self.executor = executor }

    /// Begins to wait for what the very next callback brings.
    func readWhatComesNext() async throws -> [UInt8] {
      let loop = try #require(EventLoop.running)
      let reader = try StreamReader(loop)
      loop.callSoon { reader.feedData(Array("hello".utf8)) }
      return try await reader.readExactly(5)
    }

    func awaitWhatComesNext() async throws -> Int {
      let loop = try #require(EventLoop.running)
      let future = Future<Int>(loop)
      loop.callSoon { try future.setResult(42) }
      return try await future.value
    }

    func waitForWhatEndsNext() async throws {
      let loop = try #require(EventLoop.running)
      let server = try await loop.createServer({ StreamEnd() }, host: "127.0.0.1", port: 0)
      loop.callSoon { server.close() }
      try await server.waitClosed()
      let (ours, theirs) = try Socket.pair()
      let (_, writer) = try await loop.openConnection(socket: ours)
      // The protocol is told in the next iteration.
      writer.transport.abort()
      try await writer.waitClosed()
      theirs.close()
    }

    func endServingWithAClient() async throws {
      let loop = try #require(EventLoop.running)
      let server = try await loop.createServer({ StreamEnd() }, host: "127.0.0.1", port: 0)
      let port = server.port
      let (transport, _) = try await loop.createConnection({ StreamEnd() }, host: "127.0.0.1", port: port)
      try await loop.until { server.connectionCount == 1 }
      self.server = server
      // A child task, since those prefer the loop's executor as their parents do.
      await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await self.serve() }
        try? await loop.sleep(for: .milliseconds(1))
        group.cancelAll()
        await #expect(throws: CancellationError.self) { try await group.next() }
      }
      transport.abort()
    }

    private var server: Server?

    private func serve() async throws { try await server?.serveForever() }
  }

  private final class StreamEnd: StreamProtocol {}

  @Test("a wake-up between an actor's look at a condition and its wait is not lost", .timeLimit(.minutes(10)))
  func noWakeUpIsLost() throws {
    try runLoop { loop, _ in
      let resident = Resident(loop.serialExecutor)
      let text = try await resident.readWhatComesNext()
      #expect(text == Array("hello".utf8))
      let number = try await resident.awaitWhatComesNext()
      #expect(number == 42)
      try await resident.waitForWhatEndsNext()
      try await resident.endServingWithAClient()
    }
  }
}
