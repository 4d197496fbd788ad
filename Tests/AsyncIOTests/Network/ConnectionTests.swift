// SPDX-License-Identifier: Apache-2.0
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Connections")
struct ConnectionTests {
  @Test("connectionMade, then reading is enabled, then the caller resumes")
  func order() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let recorder = Recorder()
      recorder.onMade = { transport in
        #expect(kernel.count(of: .receive) == 0)
        #expect(loop.readiness.watcher(of: transport.socket.descriptor) != nil)
      }
      let watched = loop.readiness.watchedCount
      let (transport, made) = try await loop.createConnection({ recorder }, host: "127.0.0.1", port: server.port)
      #expect(made === recorder && recorder.kept === transport)
      #expect(recorder.calls == [.made])
      #expect(transport.isReading)
      #expect(loop.readiness.watchedCount > watched)
      try await loop.until { accepted.recorders.first?.kept != nil }
      accepted.recorders[0].transport.write("welcome")
      try await loop.until { recorder.text == "welcome" }
      transport.close()
      server.close()
      try await server.waitClosed()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("the same by name: localhost")
  func byName() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop, host: "localhost")
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, host: "localhost", port: server.port)
      transport.write("by name")
      transport.close()
      try await loop.until { accepted.recorders.first?.text == "by name" && recorder.isLost }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a ready socket is made non-blocking and taken over; it keeps its descriptor", arguments: PairKind.allCases)
  func readySocket(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (near, far) = try await kind.make(loop, kernel)
      let peer = Peer(far)
      try near.setNonBlocking(false)
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, socket: near)
      let isNonBlocking = try near.isNonBlocking
      #expect(isNonBlocking)
      #expect(transport.socket === near)
      try peer.send("hello")
      try await loop.until { recorder.text == "hello" }
      // It has an owner now.
      let error = try await ioError { try await loop.createConnection({ Recorder() }, socket: near) }
      #expect(error.code == .badFileDescriptor)
      transport.close()
      try await loop.until { recorder.isLost }
      #expect(near.isClosed)
      peer.close()
    }
  }

  @Test("sockets that cannot carry a stream are refused, and stay the caller's")
  func unfitSockets() throws {
    try runLoop { loop, kernel in
      func refused(_ socket: Socket) async throws -> any Error {
        let error = try #require(await thrown { try await loop.createConnection({ Recorder() }, socket: socket) })
        let second = try #require(await thrown { try await loop.connectAcceptedSocket({ Recorder() }, socket: socket) })
        #expect("\(error)".contains("createConnection") && "\(second)".contains("connectAcceptedSocket"))
        return error
      }
      func socket(_ kind: SocketKind = .stream) throws -> Socket {
        try Socket(.ipv4, kind, transportProtocol: 0, kernel: kernel)
      }
      let closed = try socket()
      closed.close()
      #expect((try await refused(closed) as? IOError)?.code == .badFileDescriptor)

      let datagram = try socket(.datagram)
      #expect((try await refused(datagram) as? EventLoopError)?.code == .invalidArgument)
      #expect(!datagram.isClosed)

      let unconnected = try socket()
      #expect((try await refused(unconnected) as? IOError)?.code == .socketNotConnected)
      #expect(!unconnected.isClosed)

      let listening = try socket()
      try listening.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      try listening.listen()
      let error = try await refused(listening)
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      #expect("\(error)".contains("listens"))

      let pipe = try FileDescriptor.privatePipe()
      let noSocket = Socket(adopting: pipe.readEnd)
      #expect((try await refused(noSocket) as? IOError)?.code == .notSocket)
      try pipe.writeEnd.close()
    }
  }

  @Test("addresses are tried in order until one connects, and the losers are closed")
  func triesInOrder() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let hosts = ["127.0.0.7", "127.0.0.8", "127.0.0.1", "127.0.0.9"]
      let answers = addresses(hosts, server.port)
      kernel.answerLookUps { _ in answers }
      let open = kernel.openDescriptors.count
      let connects = kernel.count(of: .connect)
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, host: "some.name", port: server.port)
      #expect(transport.remoteAddress?.host == "127.0.0.1")
      #expect(kernel.count(of: .connect) == connects + 3)
      try await loop.until { server.connectionCount == 1 }
      #expect(kernel.openDescriptors.count == open + 2)
      transport.close()
      server.close()
      try await server.waitClosed()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("where all fail, one error lists each address with its own")
  func allFail() throws {
    try runLoop { loop, kernel in
      let (deaf, port) = try deafSocket(kernel, "127.0.0.2")
      defer { deaf.close() }
      let answers = addresses(["127.0.0.1", "127.0.0.2"], port)
      kernel.answerLookUps { _ in answers }
      kernel.inject(.noRouteToHost, into: .connect)
      let open = kernel.openDescriptors
      let error = try await ioError {
        try await loop.createConnection({ Recorder() }, host: "some.name", port: port)
      }
      #expect(error.attempts.map(\.code) == [.noRouteToHost, .connectionRefused])
      #expect(error.code == .noRouteToHost)
      #expect(error.subject == "some.name:\(port)")
      #expect(error.description.contains("connect 127.0.0.1:\(port): No route to host (EHOSTUNREACH)"))
      #expect(error.description.contains("connect 127.0.0.2:\(port): Connection refused (ECONNREFUSED)"))
      #expect(kernel.openDescriptors == open)
    }
  }

  @Test("attempts that fail with the same text are one error, as it is; among others, a text is told once")
  func sameFailures() throws {
    try runLoop { loop, kernel in
      let (deaf, port) = try deafSocket(kernel)
      defer { deaf.close() }
      let answers = Mutex(addresses(["127.0.0.1", "127.0.0.1", "127.0.0.1"], port))
      kernel.answerLookUps { _ in answers.withLock { $0 } }
      for delay in [nil, Duration.seconds(60)] {
        let error = try await ioError {
          try await loop.openConnection(host: "some.name", port: port, happyEyeballsDelay: delay)
        }
        #expect(error == IOError(.connectionRefused, "connect", "127.0.0.1:\(port)"))
      }
      answers.withLock { $0 += addresses(["127.0.0.2"], port) }
      let error = try await ioError { try await loop.openConnection(host: "some.name", port: port) }
      #expect(error.attempts.count == 4)
      #expect(
        error.description == "connect some.name:\(port): every address failed: "
          + "connect 127.0.0.1:\(port): Connection refused (ECONNREFUSED); "
          + "connect 127.0.0.2:\(port): Connection refused (ECONNREFUSED)")
    }
  }

  @Test("the local address is bound first and shows in sockname")
  func localAddress() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      // Nobody else uses this address, so that a port that was free a moment ago still is.
      let (deaf, port) = try deafSocket(kernel, "127.0.0.5")
      deaf.close()
      let (transport, recorder) = try await loop.createConnection(
        { Recorder() }, host: "127.0.0.1", port: server.port, localAddress: ("127.0.0.5", port))
      #expect(transport.getExtraInfo(.sockname) == SocketAddress(ip: "127.0.0.5", port: UInt16(port)))
      try await loop.until { accepted.recorders.first?.kept != nil }
      #expect(accepted.recorders[0].transport.remoteAddress == transport.localAddress)
      accepted.recorders[0].transport.abort()
      try await loop.until { recorder.isLost }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a local address of another family is skipped; none left is an error")
  func localAddressFamily() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let answers = addresses(["::1", "127.0.0.1"], server.port)
      let locals = addresses(["::1", "127.0.0.6"], 0)
      kernel.answerLookUps { $0.host == "local" ? locals : answers }
      let (transport, recorder) = try await loop.createConnection(
        { Recorder() }, host: "remote", port: server.port, localAddress: ("local", 0))
      #expect(transport.localAddress?.host == "127.0.0.6")
      transport.abort()
      try await loop.until { recorder.isLost }
      server.close()
      try await server.waitClosed()

      let error = try await ioError {
        try await loop.createConnection(
          { Recorder() }, host: "127.0.0.1", port: 1, localAddress: ("::1", 0))
      }
      #expect(error.code == .addressFamilyNotSupported && error.operation == "bind")
      #expect(error.description.contains("[::1]:0"))
    }
  }

  @Test("a local address in use names the address")
  func localAddressInUse() throws {
    try runLoop { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let error = try await ioError {
        try await loop.createConnection(
          { Recorder() }, host: "127.0.0.1", port: server.port, localAddress: ("127.0.0.1", server.port))
      }
      #expect(error.description == "bind 127.0.0.1:\(server.port): Address already in use (EADDRINUSE)")
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a refused connection", arguments: ["127.0.0.1", "::1"])
  func refused(host: String) throws {
    try runLoop { loop, kernel in
      let (deaf, port) = try deafSocket(kernel, host)
      defer { deaf.close() }
      let error = try await ioError { try await loop.createConnection({ Recorder() }, host: host, port: port) }
      let address = try #require(SocketAddress(ip: host, port: UInt16(port)))
      #expect(error == IOError(.connectionRefused, "connect", address.description))
      #expect(error.description == "connect \(address): Connection refused (ECONNREFUSED)")
    }
  }

  @Test("a socket that was accepted elsewhere gets the same callbacks in the same order")
  func acceptedSocket() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      try far.setNonBlocking(false)
      let peer = Peer(near)
      try peer.send("early")
      let (transport, recorder) = try await loop.connectAcceptedSocket({ Recorder() }, socket: far)
      #expect(recorder.calls == [.made])
      let isNonBlocking = try far.isNonBlocking
      #expect(isNonBlocking)
      try await loop.until { recorder.text == "early" }
      transport.close()
      #expect(try await peer.receiveToEnd(on: loop) == [])
      try await loop.until { recorder.isLost }
      peer.close()
    }
  }

  @Test(
    "TCP sockets get TCP_NODELAY on both sides, and live without it where it is refused", arguments: [false, true])
  func noDelay(isRefused: Bool) throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      if isRefused { kernel.inject(.invalidArgument, into: .setOption, times: 2) }
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, host: "127.0.0.1", port: server.port)
      try await loop.until { accepted.recorders.first?.kept != nil }
      #expect(try transport.socket.option(.noDelay) == !isRefused)
      #expect(try accepted.recorders[0].transport.socket.option(.noDelay) == !isRefused)
      transport.write("x")
      try await loop.until { accepted.recorders[0].text == "x" }
      transport.abort()
      try await loop.until { recorder.isLost }
      server.close()
      try await server.waitClosed()
    }
  }
}
