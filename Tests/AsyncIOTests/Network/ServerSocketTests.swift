// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct ServerSocketTests {
  @Test("A socket that listens keeps its queue, unless a backlog is given; one that does not is made to")
  func backlog() throws {
    try runLoop { (loop, kernel) async throws in
      func serve(_ socket: Socket, backlog: Int?) async throws {
        let server = try await loop.startServer(sockets: [socket], backlog: backlog) { _, _ in }
        let (_, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
        writer.close()
        try await server.shutdown(gracePeriod: .seconds(20))
      }
      try await serve(try listeningSocket(kernel), backlog: nil)
      #expect(kernel.count(of: .listen) == 1, "the test's own")
      try await serve(try listeningSocket(kernel), backlog: 5)
      #expect(kernel.count(of: .listen) == 3)
      let bound = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      try bound.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      try await serve(bound, backlog: nil)
      #expect(kernel.count(of: .listen) == 4)
    }
  }

  @Test("Sockets that cannot be served are refused before anything is done to any of them")
  func refused() throws {
    try runLoop { (loop, kernel) async throws in
      let good = try listeningSocket(kernel)
      try good.setNonBlocking(false)
      let closed = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      closed.close()
      let datagrams = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      let connected = Socket(adopting: ours, kernel: kernel)
      let borrowed = Socket(borrowing: good.descriptor, kernel: kernel)
      for sockets in [[], [good, closed], [good, datagrams], [good, connected], [borrowed], [good, good]] {
        await #expect(throws: (any Error).self) { _ = try await loop.startServer(sockets: sockets) { _, _ in } }
        #expect(try !good.isNonBlocking)
      }
      await #expect(throws: EventLoopError.invalidArgument) {
        _ = try await loop.startServer(sockets: [good], backlog: -1) { _, _ in }
      }
      kernel.inject(.addressInUse, into: .listen)
      await #expect(throws: IOError.self) { _ = try await loop.startServer(sockets: [good], backlog: 1) { _, _ in } }
      let server = try await loop.startServer(sockets: [good]) { _, _ in }
      #expect(server.isServing, "it was still the caller's")
      server.close()
      try kernel.close(theirs)
    }
  }

  @Test("Files of unix sockets go with the server if it is told so, and with the loop", arguments: [false, true])
  func files(cleans: Bool) throws {
    let folder = try TemporaryFolder()
    try runLoop { (loop, kernel) async throws in
      func bound(_ name: String) throws -> Socket {
        let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
        try socket.bind(to: try #require(SocketAddress(unixPath: folder.path(of: name))))
        return socket
      }
      let sockets = [try bound("a"), try bound("b"), try listeningSocket(kernel)]
      let server = try await loop.startServer(sockets: sockets, cleanupSockets: cleans) { _, _ in }
      server.close()
      #expect(folder.exists("a") == !cleans && folder.exists("b") == !cleans)
      _ = try await loop.startServer(sockets: [try bound("c")], cleanupSockets: cleans) { _, _ in }
      #expect(folder.exists("c"))
    }
    #expect(folder.exists("c") == !cleans)
  }
}
