// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Listening sockets")
struct ListenerTests {
  /// Connects by the kernel alone, without a turn of the loop: the connections wait to be accepted.
  private func pendingConnections(_ count: Int, to server: Server, _ kernel: TestKernel) throws -> [Peer] {
    let address = try #require(server.address)
    return try (0..<count).map { _ in
      let socket = kernel.adopt(try kernel.real.makeSocket(address.family, .stream, 0))
      do throws(Errno) { try kernel.real.connect(socket.descriptor, to: address) } catch {
        guard error == .nowInProgress else { throw error }
      }
      return Peer(socket)
    }
  }

  @Test("one readiness accepts up to backlog connections, and no more")
  func acceptsInBatches() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop, backlog: 4)
      // In which poll each was accepted.
      var polls: [Int] = []
      accepted.prepare = { _ in polls.append(kernel.count(of: .wait)) }
      let peers = try pendingConnections(5, to: server, kernel)
      try await loop.until { accepted.recorders.count == 5 }
      #expect(polls.filter { $0 == polls[0] }.count == 4)
      #expect(polls[4] > polls[0])
      for peer in peers { peer.close() }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test(
    "an accept that would block, or was aborted by the peer, ends the round quietly",
    arguments: [
      Errno.wouldBlock, .connectionAbort, .protocolError, .networkDown,
    ])
  func quietFailures(_ code: Errno) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      kernel.inject(code, into: .accept, times: 3)
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      #expect(errors.contexts.isEmpty)
      peer.close()
      server.close()
      try await server.waitClosed()
    }
  }

  static let shortages = [Errno.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory]

  @Test("a shortage is reported once, accepting pauses for a second, and goes on", arguments: shortages)
  func shortage(_ code: Errno) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      let address = try #require(server.address)
      let early = try await Peer.connect(to: address, loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }

      kernel.inject(code, into: .accept, times: .max)
      let late = try await Peer.connect(to: address, loop, kernel)
      try await loop.until { !errors.contexts.isEmpty }
      let start = loop.time
      #expect(errors.contexts[0].error as? IOError == IOError(code, "accept", address.description))
      #expect(errors.contexts[0].socket === server.sockets.first)
      let accepts = kernel.count(of: .accept)

      // The pause costs nothing, and the other connection is unharmed.
      try early.send("unharmed")
      try await loop.until { accepted.texts == ["unharmed"] }
      let polls = kernel.count(of: .wait)
      try await loop.sleep(for: .milliseconds(20))
      kernel.advanceClock(by: .milliseconds(500))
      try await loop.turn(3)
      if start.duration(to: loop.time) < .seconds(1) {
        #expect(kernel.count(of: .accept) == accepts && errors.contexts.count == 1)
        #expect(kernel.count(of: .wait) - polls < 12)
      }

      // A second on it is tried again, fails again, and is told again.
      kernel.advanceClock(by: .milliseconds(500))
      try await loop.until { errors.contexts.count == 2 }
      #expect(start.duration(to: loop.time) >= .seconds(1))
      #expect(kernel.count(of: .accept) == accepts + 1)
      #expect(server.isServing && server.sockets.count == 1)

      kernel.clearInjections()
      kernel.advanceClock(by: .seconds(1))
      try late.send("served in the end")
      try await loop.until { accepted.texts == ["unharmed", "served in the end"] }
      #expect(errors.contexts.count == 2)
      early.close()
      late.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a server can be closed during the pause", arguments: [false, true])
  func closedDuringPause(inHandler: Bool) throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      var reports = 0
      loop.setExceptionHandler { _, _ in
        reports += 1
        if inHandler { server.close() }
      }
      kernel.inject(.tooManyOpenFiles, into: .accept)
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { reports == 1 }
      server.close()
      try await server.waitClosed()
      kernel.advanceClock(by: .seconds(2))
      try await loop.turn(3)
      #expect(reports == 1 && accepted.recorders.isEmpty)
      peer.close()
      loop.setExceptionHandler(nil)
    }
  }

  @Test("where the poller refuses to go on after the pause, it is tried again")
  func pollerRefusesToResume() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      kernel.inject(.tooManyOpenFiles, into: .accept)
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { errors.contexts.count == 1 }
      kernel.inject(.noMemory, into: .add)
      kernel.advanceClock(by: .seconds(1))
      try await loop.until { errors.contexts.count == 2 }
      #expect(accepted.recorders.isEmpty)
      kernel.advanceClock(by: .seconds(1))
      try await loop.until { accepted.recorders.first?.kept != nil }
      peer.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test(
    "A server of two addresses that fails in any place leaves nothing open, and names call and address",
    arguments: [
      (TestKernel.Call.makeSocket, Errno.tooManyOpenFiles, "socket"),
      (.setOption, .noBufferSpace, "setsockopt descriptor"),
      (.bind, .permissionDenied, "bind ADDRESS"),
      (.listen, .addressInUse, "listen ADDRESS"),
      (.add, .noMemory, "listen ADDRESS"),
    ])
  func failingCall(_ call: TestKernel.Call, _ code: Errno, _ text: String) throws {
    try runLoop { loop, kernel in
      for (position, host) in ["127.0.0.1", "::1"].enumerated() {
        let open = kernel.openDescriptors
        // Two options for IPv6, one for IPv4.
        kernel.inject(code, into: call, skip: position)
        let error = try await ioError {
          try await loop.createServer({ Recorder() }, hosts: ["127.0.0.1", "::1"], port: 0)
        }
        #expect(error.code == code)
        let address = host.contains(":") ? "[\(host)]:" : "\(host):"
        #expect(error.description.hasPrefix(text.replacing("ADDRESS", with: address)), "\(error)")
        #expect(kernel.openDescriptors == open)
        let server = try await loop.createServer({ Recorder() }, hosts: ["127.0.0.1", "::1"], port: 0)
        #expect(server.sockets.count == 2)
        server.close()
      }
    }
  }

  @Test("startServing that fails on the second address serves on neither, and can be tried again")
  func startServingFails() throws {
    try runLoop { loop, kernel in
      let server = try await loop.createServer(
        { Recorder() }, hosts: ["127.0.0.1", "::1"], port: 0, startServing: false)
      kernel.inject(.addressInUse, into: .listen, skip: 1)
      let error = try await ioError { try server.startServing() }
      #expect(error.code == .addressInUse && error.operation == "listen")
      #expect(!server.isServing)
      let early = try pendingConnections(1, to: server, kernel)
      try await loop.turn(5)
      #expect(server.connectionCount == 0)
      early[0].close()
      try server.startServing()
      #expect(server.isServing)
      let peer = try await Peer.connect(to: try #require(server.sockets[1].localAddress), loop, kernel)
      try await loop.until { server.connectionCount > 0 }
      peer.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a busy listener does not starve a connection")
  func busyListener() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop, backlog: 2)
      let (recorder, peer) = try await PairKind.socketPair.transport(loop, kernel)
      var count: Int?
      recorder.onData = { _ in count = accepted.recorders.count }
      var peers: [Peer] = []
      accepted.prepare = { _ in
        // There is always another one, up to a point.
        if accepted.recorders.count < 60 { peers += try pendingConnections(1, to: server, kernel) }
        if accepted.recorders.count == 10 { try peer.send("now") }
      }
      peers += try pendingConnections(3, to: server, kernel)
      try await loop.until { accepted.recorders.count >= 60 }
      #expect(10...14 ~= (try #require(count)))
      recorder.transport.close()
      server.close()
      for peer in peers { peer.close() }
      try await server.waitClosed()
      try await loop.until { recorder.isLost }
      accepted.prepare = nil
    }
  }
}
