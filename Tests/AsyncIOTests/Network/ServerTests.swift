// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Servers")
struct ServerTests {
  @Test(
    "port 0 gives a real port; after close there are no sockets, no new connections, and closing again is fine"
  )
  func portsAndClose() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let address = try #require(server.address)
      #expect(server.port > 0)
      #expect(server.isServing)
      let peer = try await Peer.connect(to: address, loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      server.close()
      server.close()
      #expect(server.sockets.isEmpty && !server.isServing)
      let error = try await ioError {
        try await loop.createConnection({ Recorder() }, host: "127.0.0.1", port: Int(address.port!))
      }
      #expect(error.code == .connectionRefused)
      // What was accepted stays open.
      try peer.send("still served")
      try await loop.until { accepted.texts == ["still served"] }
      accepted.recorders[0].transport.write("yes")
      #expect(try await peer.receive(3, on: loop) == Array("yes".utf8))
      #expect(server.connectionCount == 1)
      peer.close()
      try await server.waitClosed()
      #expect(accepted.recorders[0].calls == [.made, .data, .eof, .lost(nil)])
    }
  }

  @Test("each connection calls the factory once, then connectionMade")
  func factory() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      var peers: [Peer] = []
      for number in 1...5 {
        peers.append(try await Peer.connect(to: try #require(server.address), loop, kernel))
        try peers[number - 1].send("\(number)")
        try await loop.until { accepted.recorders.count == number && accepted.recorders[number - 1].kept != nil }
        #expect(server.connectionCount == number)
      }
      try await loop.until { accepted.texts == ["1", "2", "3", "4", "5"] }
      #expect(accepted.recorders.allSatisfy { $0.calls == [.made, .data] })
      for (recorder, peer) in zip(accepted.recorders, peers) {
        #expect(recorder.transport.remoteAddress == peer.socket.localAddress)
        peer.close()
      }
      server.close()
      try await server.waitClosed()
      #expect(server.connectionCount == 0)
    }
  }

  @Test("a factory that throws is reported, and its connection closed; the next one is served")
  func factoryThrows() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (server, accepted) = try await recordingServer(loop)
      accepted.prepare = { _ in throw TestError(number: 7) }
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      #expect(try await peer.receiveToEnd(on: loop) == [])
      #expect(errors.contexts.count == 1)
      #expect(errors.contexts[0].error as? TestError == TestError(number: 7))
      #expect(errors.messages[0].contains("factory") && errors.contexts[0].socket != nil)
      #expect(server.connectionCount == 0)
      accepted.prepare = nil
      let next = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { accepted.recorders.last?.kept != nil }
      next.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a ready socket keeps its descriptor and belongs to the server")
  func readySocket() throws {
    try runLoop { loop, kernel in
      let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      try socket.setNonBlocking(false)
      var made = 0
      let server = try await loop.createServer(
        {
          made += 1
          return Recorder()
        }, socket: socket)
      #expect(server.sockets.first === socket)
      let isNonBlocking = try socket.isNonBlocking
      #expect(isNonBlocking)
      let second = try await ioError { try await loop.createServer({ Recorder() }, socket: socket) }
      #expect(second.code == .badFileDescriptor)
      let peer = try await Peer.connect(to: try #require(socket.localAddress), loop, kernel)
      try await loop.until { made == 1 }
      peer.close()
      server.close()
      try await server.waitClosed()
      #expect(socket.isClosed)
    }
  }

  @Test("closed, datagram and connected sockets are refused, and stay the caller's")
  func unfitSockets() throws {
    try runLoop { loop, kernel in
      func refused(_ socket: Socket) async throws -> any Error {
        let error = try #require(await thrown { try await loop.createServer({ Recorder() }, socket: socket) })
        #expect("\(error)".contains("createServer"))
        return error
      }
      let datagram = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      #expect((try await refused(datagram) as? EventLoopError)?.code == .invalidArgument)
      #expect(!datagram.isClosed)
      datagram.close()
      #expect((try await refused(datagram) as? IOError)?.code == .badFileDescriptor)
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      #expect((try await refused(near) as? EventLoopError)?.code == .invalidArgument)
      #expect(!near.isClosed)
      far.close()
    }
  }

  @Test("none and empty mean all interfaces: IPv4 and IPv6 on one port, apart", arguments: [nil, ""])
  func allInterfaces(host: String?) throws {
    try runLoop { loop, kernel in
      let server = try await loop.createServer({ Recorder() }, host: host, port: 0, startServing: false)
      let addresses = server.sockets.compactMap(\.localAddress)
      #expect(Set(addresses.map(\.family)) == [.ipv4, .ipv6])
      #expect(Set(addresses.compactMap(\.host)) == ["0.0.0.0", "::"])
      #expect(Set(addresses.map(\.port)).count == 1 && server.port > 0)
      let v6 = try #require(server.sockets.first { $0.family == .ipv6 })
      let isApart = try v6.option(.ipv6Only)
      #expect(isApart)
      server.close()
    }
  }

  @Test("several hosts; an address that occurs twice is bound once; port 0 is one port")
  func severalHosts() throws {
    try runLoop { loop, kernel in
      let accepted = Accepted()
      let server = try await loop.createServer(
        {
          accepted.recorders.append(Recorder())
          return accepted.recorders[accepted.recorders.count - 1]
        }, hosts: ["127.0.0.1", "::1", "127.0.0.1", "127.0.0.2"], port: 0)
      #expect(server.sockets.compactMap { $0.localAddress?.host } == ["127.0.0.1", "::1", "127.0.0.2"])
      #expect(Set(server.sockets.map { $0.localAddress?.port }).count == 1)
      for (number, socket) in server.sockets.enumerated() {
        let peer = try await Peer.connect(to: try #require(socket.localAddress), loop, kernel)
        try await loop.until { accepted.recorders.count == number + 1 && accepted.recorders[number].kept != nil }
        #expect(accepted.recorders[number].transport.localAddress == socket.localAddress)
        peer.close()
      }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("where the second family's port is taken, another port is tried for both")
  func portTakenInOneFamily() throws {
    try runLoop { loop, kernel in
      kernel.inject(.addressInUse, into: .bind, skip: 1)
      kernel.inject(.addressInUse, into: .bind, skip: 1)
      let server = try await loop.createServer({ Recorder() }, hosts: ["127.0.0.1", "::1"], port: 0)
      #expect(server.sockets.count == 2)
      #expect(Set(server.sockets.map { $0.localAddress?.port }).count == 1)
      #expect(kernel.count(of: .bind) >= 6)
      #expect(kernel.openDescriptors.filter { $0 >= 0 }.count == 2)
      server.close()
    }
  }

  @Test("reuseAddress is on by default, reusePort and keepAlive only on request")
  func options() throws {
    try runLoop { loop, kernel in
      func options(_ server: Server) throws -> [Bool] {
        let socket = try #require(server.sockets.first)
        return [try socket.option(.reuseAddress), try socket.option(.reusePort), try socket.option(.keepAlive)]
      }
      let plain = try await loop.createServer({ Recorder() }, host: "127.0.0.1", port: 0)
      #expect(try options(plain) == [true, false, false])
      let inUse = try await ioError { try await loop.createServer({ Recorder() }, host: "127.0.0.1", port: plain.port) }
      #expect(inUse.description == "bind 127.0.0.1:\(plain.port): Address already in use (EADDRINUSE)")
      let off = try await loop.createServer({ Recorder() }, host: "127.0.0.1", port: 0, reuseAddress: false)
      #expect(try options(off) == [false, false, false])
      let shared = try await loop.createServer(
        { Recorder() }, host: "127.0.0.1", port: 0, reusePort: true, keepAlive: true)
      #expect(try options(shared) == [true, true, true])
      let sharing = try await loop.createServer({ Recorder() }, host: "127.0.0.1", port: shared.port, reusePort: true)
      #expect(sharing.port == shared.port)
      for server in [plain, off, shared, sharing] { server.close() }
    }
  }

  @Test("startServing: false listens only when told, and telling twice is fine")
  func startServing() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop, startServing: false)
      #expect(!server.isServing && server.sockets.count == 1)
      let address = try #require(server.address)
      #expect(try await ioError { try await Peer.connect(to: address, loop, kernel) }.code == .connectionRefused)
      try server.startServing()
      try server.startServing()
      #expect(server.isServing && kernel.count(of: .listen) == 1)
      let peer = try await Peer.connect(to: address, loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      peer.close()
      server.close()
      #expect(throws: EventLoopError.self) { try server.startServing() }
      try await server.waitClosed()
    }
  }

  @Test("1,000 connections at once")
  func thousandConnections() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop, backlog: 500)
      accepted.prepare = { recorder in recorder.onData = { recorder.transport.write($0) } }
      let address = try #require(server.address)
      var peers: [Peer] = []
      for _ in 0..<1000 { peers.append(try await Peer.connect(to: address, loop, kernel)) }
      try await loop.until { server.connectionCount == 1000 }
      for (number, peer) in peers.enumerated() { try peer.send("\(10_000 + number)") }
      for (number, peer) in peers.enumerated() {
        #expect(try await peer.receive(5, on: loop) == Array("\(10_000 + number)".utf8))
      }
      server.close()
      for peer in peers { peer.close() }
      try await server.waitClosed()
      #expect(accepted.recorders.count == 1000)
      #expect(accepted.recorders.allSatisfy { $0.lossCount == 1 })
    }
  }
}
