// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

extension CancellationTests {
  /// Waits for a look-up, and then for no more than the kernel. What it returns is closed.
  private static func lookingUp(
    _ name: String, _ call: @escaping @Sendable (EventLoop, String, Int) async throws -> (() -> Void)
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let gate = ThreadGate()
      kernel.holdLookUps(gate)
      let (server, _) = try await recordingServer(loop)
      let close = Boxed({})
      return PreparedCall(
        call: { close.value = try await call(loop, "name.test", server.port) },
        complete: { gate.open() },
        check: { end in
          if !end.isComplete { gate.open() }
          close.value()
          server.closeClients()
          server.close()
        })
    }
  }

  /// Waits for a handshake with a peer that keeps silent.
  private static func shakingHands(
    _ name: String, _ call: @escaping @Sendable (EventLoop, Socket) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      return PreparedCall(
        call: { try await call(loop, near) },
        check: { _ in
          if !near.isHandedOver { near.close() }
          far.close()
        })
    }
  }

  /// Makes a server on a socket file.
  private static func listening(
    _ name: String, _ call: @escaping @Sendable (EventLoop, String) async throws -> Server
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let folder = try TemporaryFolder()
      let server = Boxed<Server?>(nil)
      return PreparedCall(
        call: { server.value = try await call(loop, folder.path(of: "s")) }, waits: false,
        check: { end in
          #expect(folder.exists("s") == end.returned)
          server.value?.close()
          #expect(!folder.exists("s"))
        })
    }
  }

  /// Connects to a socket file whose listener takes nobody for now.
  private static func queueing(
    _ name: String, _ call: @escaping @Sendable (EventLoop, String) async throws -> (() -> Void)
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let folder = try TemporaryFolder()
      let address = try #require(SocketAddress(unixPath: folder.path(of: "s")))
      let listener = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try listener.bind(to: address)
      try listener.listen(backlog: 0)
      let first = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try first.connect(to: address)
      let close = Boxed({})
      return PreparedCall(
        call: { close.value = try await call(loop, folder.path(of: "s")) },
        complete: { try listener.accept().connection.close() },
        check: { _ in
          close.value()
          first.close()
          listener.close()
        })
    }
  }

  static let connectingCalls: [AwaitedCall] = [
    lookingUp("EventLoop.getaddrinfo") { loop, host, port in
      _ = try await loop.getaddrinfo(host: host, port: port, type: .stream)
      return {}
    },
    lookingUp("EventLoop.createConnection") { loop, host, port in
      let (transport, _) = try await loop.createConnection({ Recorder() }, host: host, port: port)
      return { transport.abort() }
    },
    lookingUp("EventLoop.openConnection") { loop, host, port in
      let (_, writer) = try await loop.openConnection(host: host, port: port)
      return { writer.transport.abort() }
    },
    lookingUp("EventLoop.createDatagramEndpoint") { loop, host, _ in
      let (transport, _) = try await loop.createDatagramEndpoint({ DatagramRecorder() }, localAddress: (host, 0))
      return { transport.close() }
    },
    lookingUp("EventLoop.createServer") { loop, host, _ in
      let server = try await loop.createServer({ Recorder() }, host: host, port: 0)
      return { server.close() }
    },
    lookingUp("EventLoop.startServer") { loop, host, _ in
      let server = try await loop.startServer(host: host, port: 0) { _, _ in }
      return { server.close() }
    },
    shakingHands("EventLoop.createConnection (TLS)") { loop, socket in
      _ = try await loop.createConnection(
        { Recorder() }, socket: socket, tls: .client(clientTLS(), serverHostname: "localhost"))
    },
    shakingHands("EventLoop.connectAcceptedSocket") { loop, socket in
      _ = try await loop.connectAcceptedSocket({ Recorder() }, socket: socket, tls: .server(serverTLS()))
    },
    shakingHands("EventLoop.openConnection (TLS)") { loop, socket in
      _ = try await loop.openConnection(socket: socket, tls: .client(clientTLS(), serverHostname: "localhost"))
    },
    shakingHands("StreamWriter.startTLS") { loop, socket in
      let (_, writer) = try await loop.openConnection(socket: socket)
      try await writer.startTLS(.client(clientTLS(), serverHostname: "localhost"))
    },
    shakingHands("EventLoop.startTLS") { loop, socket in
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, socket: socket)
      // Nobody else would have it closed, were this cancelled before it began.
      defer { transport.abort() }
      _ = try await loop.startTLS(transport, recorder, .client(clientTLS(), serverHostname: "localhost"))
    },
    listening("EventLoop.createUnixServer") { loop, path in
      try await loop.createUnixServer({ Recorder() }, path: path)
    },
    listening("EventLoop.createServer") { loop, path in
      let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: loop.kernel)
      try socket.bind(to: try #require(SocketAddress(unixPath: path)))
      do {
        return try await loop.createServer({ Recorder() }, sockets: [socket], cleanupSockets: true)
      } catch {
        socket.close()
        throw error
      }
    },
    listening("EventLoop.startUnixServer") { loop, path in try await loop.startUnixServer(path: path) { _, _ in } },
    queueing("EventLoop.createUnixConnection") { loop, path in
      let (transport, _) = try await loop.createUnixConnection({ Recorder() }, path: path)
      return { transport.abort() }
    },
    queueing("EventLoop.openUnixConnection") { loop, path in
      let (_, writer) = try await loop.openUnixConnection(path: path)
      return { writer.transport.abort() }
    },
  ]
}
