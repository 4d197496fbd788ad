// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Servers: ends in good order")
struct ServerShutdownTests {
  @Test("shutdown: no new connections, and those that are open have their time")
  func lastsAsLongAsConnections() throws {
    try runLoop { loop, kernel in
      kernel.stopClock()
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      let address = try #require(server.address)
      let ending = loop.createTask { try await server.shutdown(gracePeriod: .seconds(10)) }
      try await loop.until { server.sockets.isEmpty }
      let refusal = await thrown { _ = try await Peer.connect(to: address, loop, kernel) }
      #expect((refusal as? IOError)?.code == .connectionRefused)
      kernel.advanceClock(by: .seconds(9))
      try peer.send("late")
      try await loop.until { recorder.received == Array("late".utf8) }
      #expect(!ending.isDone)
      recorder.transport.write("answer")
      recorder.transport.close()
      try await ending.value
      #expect(try await peer.receiveToEnd(on: loop) == Array("answer".utf8))
      #expect(recorder.isLost && loop.core.timers.count == 0)
    }
  }

  @Test("shutdown: what lasts longer than it may is aborted, then and not before")
  func abortsWhatIsLeft() throws {
    try runLoop { loop, kernel in
      kernel.stopClock()
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      let ending = loop.createTask { try await server.shutdown(gracePeriod: .seconds(10)) }
      try await loop.until { server.sockets.isEmpty }
      try await loop.expect(after: .seconds(10), on: kernel) { recorder.isLost }
      try await ending.value
      #expect(server.connectionCount == 0)
      peer.close()
    }
  }

  @Test(
    "shutdown: without a grace period connections end at once; a second shutdown has nothing to do",
    arguments: [0, -1])
  func withoutGrace(seconds: Int) throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      try await server.shutdown(gracePeriod: .seconds(seconds))
      #expect(recorder.isLost)
      try await server.shutdown(gracePeriod: .seconds(seconds))
      peer.close()
    }
  }

  @Test("shutdown: when its task is cancelled the connections end before that is thrown")
  func cancelled() throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      let ending = loop.createTask {
        defer { #expect(recorder.isLost) }
        try await server.shutdown(gracePeriod: .seconds(1000))
      }
      try await loop.until { server.sockets.isEmpty }
      ending.cancel()
      await #expect(throws: CancellationError.self) { try await ending.value }
      peer.close()
    }
  }

  @Test("shutdown ends a serveForever, which returns")
  func endsServeForever() throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      let serving = loop.createTask { try await server.serveForever() }
      try await loop.sleep(for: .zero)
      try await server.shutdown(gracePeriod: .zero)
      try await serving.value
      #expect(recorder.isLost)
      peer.close()
    }
  }

  @Test("withServer: the server is closed and awaited when the closure ends, throws or is cancelled", arguments: 0..<3)
  func scope(how: Int) throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      let scope = loop.createTask {
        try await loop.withServer(server, gracePeriod: .seconds(1000)) { server in
          #expect(server.isServing)
          switch how {
          case 0: return 42
          case 1: throw Errno.noMemory
          default: try await server.serveForever()
          }
          return 0
        }
      }
      try await loop.sleep(for: .zero)
      if how == 2 { scope.cancel() }
      try await loop.until { server.sockets.isEmpty }
      // It ends with the last connection, whose own end it awaits.
      if how < 2 {
        #expect(!scope.isDone)
        peer.close()
      }
      switch await scope.outcome {
      case .success(let value): #expect(how == 0 && value == 42)
      case .failure(let error): #expect(how == 1 ? error as? Errno == .noMemory : error is CancellationError)
      }
      #expect(recorder.isLost)
      if how == 2 { peer.close() }
    }
  }

  @Test("withServer: what is open after the grace period is aborted, also in a cancelled task")
  func scopeAborts() throws {
    try runLoop { loop, kernel in
      kernel.stopClock()
      let (server, accepted, peer) = try await connected(loop, kernel)
      let recorder = accepted.recorders[0]
      let scope = loop.createTask {
        try await loop.withServer(server, gracePeriod: .seconds(3)) { _ in try await loop.sleep(for: .seconds(1000)) }
      }
      try await loop.sleep(for: .zero)
      scope.cancel()
      try await loop.until { server.sockets.isEmpty }
      try await loop.expect(after: .seconds(3), on: kernel) { recorder.isLost }
      await #expect(throws: CancellationError.self) { try await scope.value }
      peer.close()
    }
  }
}
