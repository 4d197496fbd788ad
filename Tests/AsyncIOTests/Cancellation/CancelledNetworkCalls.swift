// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

extension CancellationTests {
  /// Receives one byte.
  private static func receiving(
    _ name: String, _ call: @escaping @Sendable (EventLoop, Socket) async throws -> [UInt8]
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let address = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
      let sockets = try (0..<2).map { _ in
        let socket = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
        try socket.bind(to: address)
        return socket
      }
      let target = try #require(sockets[0].localAddress)
      let received = Boxed<[UInt8]>([])
      return PreparedCall(
        call: { received.value = try await call(loop, sockets[0]) },
        complete: { try await loop.sockSendTo(sockets[1], [7], target) },
        check: { end in
          #expect(received.value == (end.returned ? [7] : []))
          if end.isComplete, !end.returned {
            let late = try await loop.sockRecv(sockets[0], 10)
            #expect(late == [7])
          }
          for socket in sockets { socket.close() }
        })
    }
  }

  /// Sends more than there is room for.
  private static func sending(
    _ name: String, _ call: @escaping @Sendable (EventLoop, Socket) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      _ = try near.fill()
      return PreparedCall(
        call: { try await call(loop, near) }, complete: { while try far.receiveNow() != [] {} },
        check: { _ in for socket in [near, far] { socket.close() } })
    }
  }

  /// Waits for the end of a server, or of its one connection.
  private static func serving(
    _ name: String, goesOn: Bool = false, _ call: @escaping @Sendable (EventLoop, Server) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { accepted.recorders.first?.kept != nil }
      return PreparedCall(
        call: { try await call(loop, server) },
        complete: {
          server.close()
          peer.close()
        },
        check: { end in
          if !end.returned, !end.isComplete {
            #expect(server.isServing == goesOn && (server.connectionCount == 1) == goesOn)
          }
          server.abortClients()
          server.close()
          peer.close()
          try await server.waitClosed()
        })
    }
  }

  static let networkCalls: [AwaitedCall] = [
    receiving("EventLoop.sockRecv") { loop, socket in try await loop.sockRecv(socket, 10) },
    receiving("EventLoop.sockRecvInto") { loop, socket in
      var bytes: [UInt8] = [0, 0]
      return Array(bytes.prefix(try await loop.sockRecvInto(socket, &bytes)).map { _ in bytes[0] })
    },
    receiving("EventLoop.sockRecvFrom") { loop, socket in try await loop.sockRecvFrom(socket, 10).data
    },
    receiving("EventLoop.sockRecvFromInto") { loop, socket in
      var bytes: [UInt8] = [0, 0]
      let count = try await loop.sockRecvFromInto(socket, &bytes).count
      return Array(bytes.prefix(count))
    },
    sending("EventLoop.sockSendAll") { loop, socket in try await loop.sockSendAll(socket, [1, 2, 3]) },
    sending("EventLoop.sockSendFile") { loop, socket in
      let file = try TemporaryFolder().file([1, 2, 3])
      defer { try? file.close() }
      _ = try await loop.sockSendFile(socket, file)
    },
    AwaitedCall("EventLoop.sendFile") { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let file = try TemporaryFolder().file(pattern(plenty))
      let received = Boxed(0)
      return PreparedCall(
        call: { _ = try await loop.sendFile(recorder.transport, file) },
        complete: {
          while received.value < plenty {
            received.value += try peer.receiveNow()?.count ?? 0
            try await loop.turn(1)
          }
        },
        check: { _ in
          let sent = Int(try file.seek(offset: 0, from: .current))
          recorder.transport.writeEOF()
          received.value += try await peer.receiveToEnd(on: loop).count
          #expect(received.value == sent, "the file's position tells how much was sent")
          try file.close()
          peer.close()
          recorder.transport.close()
        })
    },
    AwaitedCall("EventLoop.sockSendTo") { loop, kernel in
      let socket = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      let address = try #require(socket.localAddress)
      kernel.inject(.wouldBlock, into: .sendDatagram, times: 1)
      return PreparedCall(
        call: { try await loop.sockSendTo(socket, [7], address) }, waits: false,
        check: { end in
          kernel.clearInjections()
          let received = try socket.receiveNow()
          #expect(received == (end.returned ? [7] : []))
          socket.close()
        })
    },
    AwaitedCall("EventLoop.sockAccept") { loop, kernel in
      let listener = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      try listener.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      try listener.listen(backlog: 5)
      let address = try #require(listener.localAddress)
      let accepted = Boxed<Socket?>(nil)
      let peer = Boxed<Peer?>(nil)
      return PreparedCall(
        call: { accepted.value = try await loop.sockAccept(listener).connection },
        complete: { peer.value = try await Peer.connect(to: address, loop, kernel) },
        check: { end in
          #expect((accepted.value != nil) == end.returned)
          accepted.value?.close()
          if end.isComplete, !end.returned { try await loop.sockAccept(listener).connection.close() }
          peer.value?.close()
          listener.close()
        })
    },
    AwaitedCall("EventLoop.sockConnect") { loop, kernel in
      let (server, _) = try await recordingServer(loop)
      let address = try #require(server.address)
      let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      return PreparedCall(
        call: { try await loop.sockConnect(socket, address) }, waits: false,
        check: { _ in
          socket.close()
          server.close()
        })
    },
    AwaitedCall("EventLoop.getnameinfo") { loop, _ in
      let address = try #require(SocketAddress(ip: "127.0.0.1", port: 80))
      return PreparedCall(call: { _ = try await loop.getnameinfo(address, flags: .numericHost) }, waits: false)
    },
    serving("Server.waitClosed", goesOn: true) { _, server in try await server.waitClosed() },
    serving("Server.serveForever") { _, server in try await server.serveForever() },
    serving("Server.shutdown") { _, server in try await server.shutdown(gracePeriod: long) },
    serving("EventLoop.withServer") { loop, server in
      try await loop.withServer(server, gracePeriod: .zero) { server in try await server.waitClosed() }
    },
  ]
}
