// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Looks at objects without holding them.
private final class Watched {
  private final class Entry {
    weak var object: AnyObject?
    let name: String
    init(_ object: AnyObject, _ name: String) { (self.object, self.name) = (object, name) }
  }

  private var entries: [Entry] = []

  func add(_ object: AnyObject, _ name: String) { entries.append(Entry(object, name)) }
  /// What still lives.
  var living: [String] { entries.filter { $0.object != nil }.map(\.name) }
}

/// A protocol that has no owner but its transport, and calls it from its deinit.
private final class LastWords: StreamProtocol {
  /// What it found on its way out.
  final class Found {
    var protocolWasGone = false
    var count = 0
  }

  private let found: Found
  private var transport: StreamTransport?

  init(_ found: Found) { self.found = found }

  deinit {
    found.count += 1
    found.protocolWasGone = transport?.getProtocol() == nil && transport?.isClosing == true
    transport?.write("unheard")
    transport?.resumeReading()
    transport?.abort()
  }

  func connectionMade(_ transport: StreamTransport) { self.transport = transport }
}

@Suite("Stream transport and server: lifetime")
struct StreamTransportLifetimeTests {
  @Test("protocol and transport are let go of after the end, however it came", arguments: PairKind.allCases)
  func afterTheEnd(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let watched = Watched()
      func run(_ end: (StreamTransport, Peer) throws -> Void) async throws {
        let (recorder, peer) = try await kind.transport(loop, kernel)
        watched.add(recorder, "protocol")
        watched.add(recorder.transport, "transport")
        watched.add(recorder.transport.socket, "socket")
        kernel.inject(.wouldBlock, into: .send)
        recorder.transport.write("flushed or dropped")
        try end(recorder.transport, peer)
        try await loop.until { recorder.isLost }
        recorder.forgetTransport()
      }
      try await run { transport, _ in transport.close() }
      try await run { transport, _ in transport.abort() }
      try await run { _, peer in peer.close() }
      try await run { _, peer in
        try peer.send("x")
        kernel.inject(.connectionReset, into: .receive)
      }
      try await loop.turn()
      #expect(watched.living == [])
    }
  }

  @Test(
    "a protocol that has itself replaced lives to the end of the call", arguments: PairKind.allCases)
  func replacedInsideCall(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let heir = Recorder()
      let (near, far) = try await kind.make(loop, kernel)
      let (watched, peer) = (Watched(), Peer(far))
      var livedOn = false
      func connect() async throws -> StreamTransport {
        let first = Recorder()
        watched.add(first, "protocol")
        first.onData = { [unowned first] _ in
          let transport = first.transport
          first.forgetTransport()
          transport.setProtocol(heir)
          livedOn = !watched.living.isEmpty
        }
        return try await loop.connectAcceptedSocket({ first }, socket: near).transport
      }
      let transport = try await connect()
      try peer.send("1")
      try await loop.until { livedOn }
      #expect(watched.living == [], "nobody else has it")
      try peer.send("2")
      try await loop.until { heir.text == "2" }
      transport.abort()
      try await loop.until { heir.isLost }
      peer.close()
    }
  }

  @Test(
    "a protocol that closes while bytes wait is given nothing more",
    arguments: PairKind.allCases)
  func closedInsideCall(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.onData = { _ in
        kernel.inject(.wouldBlock, into: .send, times: 3)
        recorder.transport.write("rest")
        recorder.transport.close()
        try peer.send("2")
      }
      try peer.send("1")
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)] && recorder.text == "1")
      #expect(try await peer.receive(4, on: loop) == octets("rest"))
      peer.close()
    }
  }

  @Test("A protocol may call its transport from its deinit", arguments: PairKind.allCases)
  func callsFromDeinit(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let found = LastWords.Found()
      let (near, far) = try await kind.make(loop, kernel)
      _ = try await loop.connectAcceptedSocket({ LastWords(found) }, socket: near)
      Peer(far).close()
      try await loop.until { found.count == 1 }
      #expect(found.protocolWasGone)
      try await loop.turn()
      #expect(found.count == 1)
    }
  }

  @Test("server, connections and factory are let go of after the end")
  func server() throws {
    try runLoop { loop, kernel in
      let watched = Watched()
      func run() async throws {
        let token = Recorder()
        watched.add(token, "factory's capture")
        var accepted: [Recorder] = []
        let server = try await loop.createServer(
          {
            watched.add(token, "token")
            let recorder = Recorder()
            watched.add(recorder, "accepted protocol")
            accepted.append(recorder)
            return recorder
          }, host: "127.0.0.1", port: 0)
        watched.add(server, "server")
        watched.add(server.sockets[0], "listening socket")
        let peer = try await Peer.connect(to: try #require(server.sockets[0].localAddress), loop, kernel)
        try await loop.until { accepted.first?.kept != nil }
        watched.add(accepted[0].transport, "accepted transport")
        #expect(server.connectionCount == 1)
        server.close()
        peer.close()
        try await server.waitClosed()
        #expect(server.connectionCount == 0)
        accepted[0].forgetTransport()
      }
      try await run()
      try await loop.turn()
      #expect(watched.living == [])
    }
  }

  @Test("loop.close() with open connections and servers releases all, and closes every descriptor")
  func loopCloses() throws {
    CapturedLog.install()
    let watched = Watched()
    let kernel = TestKernel()
    func run() throws {
      let loop = try EventLoop(kernel: kernel)
      watched.add(loop, "loop")
      var recorders: [Recorder] = []
      var peers: [Peer] = []
      try loop.runUntilComplete {
        for kind in PairKind.allCases {
          let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
          recorders.append(recorder)
          peers.append(peer)
        }
        // One with unsent bytes, one that is flushing, one whose end is scheduled.
        recorders[0].transport.write(pattern(plenty))
        recorders[1].transport.write(pattern(plenty))
        recorders[1].transport.close()
        let server = try await loop.createServer(
          {
            let recorder = Recorder()
            recorders.append(recorder)
            return recorder
          }, host: "127.0.0.1", port: 0)
        watched.add(server, "server")
        peers.append(try await Peer.connect(to: try #require(server.sockets[0].localAddress), loop, kernel))
        try await loop.until { recorders.last?.kept != nil && recorders.count == 4 }
        recorders[2].transport.abort()
      }
      let calls = recorders.map(\.calls)
      for recorder in recorders {
        watched.add(recorder, "protocol")
        watched.add(recorder.transport, "transport")
      }
      loop.close()
      // They lose their descriptors without being told, and stay harmless.
      #expect(recorders.map(\.calls).map(\.count).reduce(0, +) <= calls.map(\.count).reduce(1, +))
      for recorder in recorders {
        #expect(recorder.transport.isClosing && recorder.transport.socket.isClosed)
        recorder.transport.write("late")
        recorder.transport.pauseReading()
        recorder.transport.resumeReading()
        recorder.transport.close()
        recorder.transport.abort()
        #expect(recorder.transport.getProtocol() == nil)
        recorder.forgetTransport()
      }
      for peer in peers { peer.close() }
    }
    try run()
    #expect(kernel.openDescriptors == [])
    #expect(watched.living == [])
  }

  @Test("with debug on, a connection that is open when the loop closes is reported")
  func openConnectionIsReported() throws {
    try withLoop { loop, kernel in
      loop.debug = true
      var name = ""
      let recorder = Recorder()
      try loop.runUntilComplete {
        _ = try await PairKind.tcp.transport(loop, kernel, recorder)
        name = try #require(recorder.transport.remoteAddress).description
      }
      loop.close()
      #expect(CapturedLog.matching("a connection (\(name)) was still open").count == 1)
      recorder.peer?.close()
    }
  }
}
