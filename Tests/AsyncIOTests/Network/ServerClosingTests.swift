// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Servers: serving for ever, closing and waiting")
struct ServerClosingTests {
  /// What a waiting task has come to.
  private final class Outcome {
    var error: (any Error)?
    var ends = 0
  }

  private func waiting(_ loop: EventLoop, _ body: @escaping () async throws -> Void) -> (Outcome, LoopTask<Void>) {
    let outcome = Outcome()
    let task = loop.createTask {
      do { try await body() } catch { outcome.error = error }
      outcome.ends += 1
    }
    return (outcome, task)
  }

  @Test("cancelling serveForever closes the server and its connections, waits for them, and is thrown on")
  func serveForever() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop, startServing: false)
      let address = try #require(server.address)
      let (outcome, task) = waiting(loop) { try await server.serveForever() }
      try await loop.until { server.isServing }
      let peer = try await Peer.connect(to: address, loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      // A connection that takes its time to end.
      let recorder = accepted.recorders[0]
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.wouldBlock, into: .sendGathering, times: .max)
      recorder.transport.write("last words")
      #expect(outcome.ends == 0)
      task.cancel()
      try await loop.until { server.sockets.isEmpty }
      #expect(recorder.transport.isClosing && !recorder.isLost && outcome.ends == 0)
      kernel.clearInjections()
      #expect(try await peer.receiveToEnd(on: loop) == Array("last words".utf8))
      try await loop.until { outcome.ends == 1 }
      #expect(recorder.isLost)
      #expect(outcome.error is CancellationError)
    }
  }

  @Test("serveForever returns, without an error, when the server is closed elsewhere and its last connection has ended")
  func serveForeverAndClose() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let (outcome, _) = waiting(loop) { try await server.serveForever() }
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      server.close()
      try await loop.turn(5)
      #expect(outcome.ends == 0, "a connection is left")
      peer.close()
      try await loop.until { outcome.ends == 1 }
      #expect(outcome.error == nil)
    }
  }

  @Test("serveForever that is cancelled while it waits for the last connections of a closed server ends those too")
  func serveForeverClosedAndCancelled() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let (outcome, task) = waiting(loop) { try await server.serveForever() }
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      server.close()
      try await loop.turn(5)
      task.cancel()
      try await loop.until { outcome.ends == 1 }
      #expect(outcome.error is CancellationError)
      #expect(server.connectionCount == 0)
      peer.close()
    }
  }

  @Test("a task that is cancelled before it serves closes the server as well")
  func cancelledBefore() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop, startServing: false)
      let (outcome, task) = waiting(loop) { try await server.serveForever() }
      task.cancel()
      try await loop.until { outcome.ends == 1 }
      #expect(outcome.error is CancellationError)
      #expect(server.sockets.isEmpty)
    }
  }

  @Test("serveForever twice at a time, or on a closed server, is a state error")
  func serveForeverTwice() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let (outcome, task) = waiting(loop) { try await server.serveForever() }
      try await loop.turn()
      let twice = await thrown { try await server.serveForever() }
      #expect((twice as? EventLoopError)?.code == .serverState)
      #expect(server.isServing && outcome.ends == 0)
      task.cancel()
      try await loop.until { outcome.ends == 1 }
      let closed = await thrown { try await server.serveForever() }
      #expect((closed as? EventLoopError)?.code == .serverState)
    }
  }

  @Test("waitClosed waits for close and for the last connection, in either order", arguments: [false, true])
  func waitClosed(closesFirst: Bool) throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let (first, _) = waiting(loop) { try await server.waitClosed() }
      let (second, _) = waiting(loop) { try await server.waitClosed() }
      try await loop.turn()
      if closesFirst {
        server.close()
        try await loop.turn(3)
        #expect(first.ends == 0)
        peer.close()
      } else {
        peer.close()
        try await loop.until { accepted.recorders[0].isLost }
        try await loop.turn(3)
        #expect(first.ends == 0)
        server.close()
      }
      try await loop.until { first.ends == 1 && second.ends == 1 }
      #expect(first.error == nil && second.error == nil)
      #expect(accepted.recorders[0].isLost)
      // Afterwards it returns at once.
      try await server.waitClosed()
    }
  }

  @Test("waitClosed on an open server blocks even without a connection, and can be cancelled")
  func waitClosedOnOpenServer() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let (outcome, _) = waiting(loop) { try await server.waitClosed() }
      let (cancelled, task) = waiting(loop) { try await server.waitClosed() }
      try await loop.turn(3)
      #expect(outcome.ends == 0 && cancelled.ends == 0)
      task.cancel()
      try await loop.until { cancelled.ends == 1 }
      #expect(cancelled.error is CancellationError && outcome.ends == 0)
      server.close()
      try await loop.until { outcome.ends == 1 }
      #expect(outcome.error == nil)
    }
  }

  @Test("closeClients sends what is buffered, abortClients does not", arguments: [false, true])
  func closeClients(aborts: Bool) throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      accepted.recorders[0].transport.write("buffered")
      aborts ? server.abortClients() : server.closeClients()
      #expect(server.isServing)
      #expect(try await peer.receiveToEnd(on: loop) == (aborts ? [] : Array("buffered".utf8)))
      try await loop.until { server.connectionCount == 0 }
      #expect(accepted.recorders[0].loss.map { $0 == nil } == true)
      server.close()
      try await server.waitClosed()
    }
  }

  @Test(
    "connections are closed in the order in which they came, also those that came when others had ended, few or most of many",
    arguments: [(4, [2, 0]), (150, Array(0..<60) + stride(from: 149, to: 80, by: -1))])
  func closingOrder(count: Int, ended: [Int]) throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let address = try #require(server.address)
      var (peers, closed): ([Peer], [Int]) = ([], [])
      func connect() async throws {
        let index = peers.count
        accepted.prepare = { $0.onLost = { closed.append(index) } }
        peers.append(try await Peer.connect(to: address, loop, kernel))
        try await loop.until { accepted.recorders.count > index && accepted.recorders[index].kept != nil }
      }
      for _ in 0..<count { try await connect() }
      for (number, index) in ended.enumerated() {
        accepted.recorders[index].transport.abort()
        try await loop.until { server.connectionCount == count - number - 1 }
      }
      #expect(closed == ended)
      for _ in 0..<3 { try await connect() }
      #expect(server.connectionCount == count - ended.count + 3)
      closed = []
      server.closeClients()
      try await loop.until { server.connectionCount == 0 }
      #expect(closed == (0..<count + 3).filter { !ended.contains($0) })
      server.close()
      for peer in peers { peer.close() }
    }
  }

  @Test("a connection counts until its descriptor is closed, and no longer")
  func countsUntilClosed() throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let descriptor = try #require(accepted.recorders[0].transport.getExtraInfo(.socket)).descriptor
      accepted.recorders[0].onLost = {
        #expect(server.connectionCount == 1 && kernel.openDescriptors.contains(descriptor.rawValue))
      }
      server.close()
      let (outcome, _) = waiting(loop) {
        try await server.waitClosed()
        #expect(!kernel.openDescriptors.contains(descriptor.rawValue))
      }
      peer.close()
      try await loop.until { outcome.ends == 1 }
      #expect(outcome.error == nil && accepted.recorders[0].isLost && server.connectionCount == 0)
    }
  }

  enum Place: CaseIterable { case factory, connectionMade, connectionLost }

  @Test("a server that is closed from one of its protocols", arguments: Place.allCases)
  func closedFromProtocol(place: Place) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      accepted.prepare = { recorder in
        switch place {
        case .factory: server.close()
        case .connectionMade: recorder.onMade = { _ in server.close() }
        case .connectionLost: recorder.onLost = { server.close() }
        }
      }
      let address = try #require(server.address)
      let (outcome, _) = waiting(loop) { try await server.waitClosed() }
      let peers = [
        try await Peer.connect(to: address, loop, kernel), try? await Peer.connect(to: address, loop, kernel),
      ].compactMap { $0 }
      try await loop.until { accepted.recorders.first?.kept != nil }
      try peers[0].send("hello")
      try await loop.until { accepted.texts.first == "hello" }
      if place != .connectionLost {
        // The second one was never accepted.
        #expect(server.sockets.isEmpty)
        #expect(accepted.recorders.count == 1)
        #expect(place == .factory || outcome.ends == 0)
      }
      for peer in peers { peer.close() }
      try await loop.until { outcome.ends == 1 && server.connectionCount == 0 }
      try await loop.turn(3)
      #expect(outcome.ends == 1 && outcome.error == nil)
      // Among them an accept on a descriptor that is closed.
      #expect(errors.messages == [])
      accepted.prepare = nil
    }
  }

  @Test("a server that nobody holds serves on; a loop's end closes it")
  func nobodyHoldsIt() throws {
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    try loop.runUntilComplete {
      let address: SocketAddress?
      do { address = try await recordingServer(loop).0.address }
      let peer = try await Peer.connect(to: try #require(address), loop, kernel)
      try await loop.until { kernel.count(of: .accept) > 0 }
      peer.close()
    }
    loop.close()
    #expect(kernel.openDescriptors == [])
  }
}
