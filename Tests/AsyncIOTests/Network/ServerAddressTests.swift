// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Which addresses a server listens on, and what is said of those that it cannot have.
@Suite struct ServerAddressTests {
  private func server(
    _ loop: EventLoop, hosts: [String], port: Int = 0
  ) async throws -> Server { try await loop.createServer({ Recorder() }, hosts: hosts, port: port) }

  @Test("an address that was named and that this machine does not have is left out, and a warning tells")
  func leftOut() throws {
    try runLoop { loop, kernel in
      // A network for documentation, which is nobody's.
      let server = try await server(loop, hosts: ["192.0.2.77", "127.0.0.1"])
      #expect(server.sockets.map { $0.localAddress?.host } == ["127.0.0.1"])
      let lines = CapturedLog.matching("192.0.2.77:0: Cannot assign requested address")
      #expect(
        lines == [
          "warning: createServer does not listen on all that it was given: bind 192.0.2.77:0: "
            + "Cannot assign requested address (EADDRNOTAVAIL)"
        ])
      server.close()
    }
  }

  @Test("a family that the machine does not speak is told where it was named", arguments: [true, false])
  func familyLeftOut(isNamed: Bool) throws {
    try runLoop { loop, kernel in
      kernel.answerLookUps { query throws(ResolutionError) in addresses(["127.0.0.41", "::1"], 0) }
      kernel.inject(.addressFamilyNotSupported, into: .makeSocket, skip: 1)
      let before = CapturedLog.matching("socket for [::1]:0: Address family not supported").count
      // No name stands for all interfaces.
      let server = try await server(loop, hosts: [isNamed ? "some.test" : ""])
      #expect(server.sockets.map { $0.localAddress?.host } == ["127.0.0.41"])
      let lines = CapturedLog.matching("socket for [::1]:0: Address family not supported")
      if isNamed { #expect(lines.count == before + 1) }
      server.close()
    }
  }

  @Test("in debug mode, what is missing of all interfaces is told too")
  func debugMode() throws {
    try runLoop { loop, kernel in
      loop.debug = true
      kernel.answerLookUps { query throws(ResolutionError) in addresses(["127.0.0.42", "192.0.2.42"], 0) }
      try await server(loop, hosts: [""]).close()
      #expect(CapturedLog.matching("bind 192.0.2.42:").count == 1)
      loop.debug = false
      kernel.answerLookUps { query throws(ResolutionError) in addresses(["127.0.0.42", "192.0.2.43"], 0) }
      try await server(loop, hosts: [""]).close()
      #expect(CapturedLog.matching("bind 192.0.2.43:").isEmpty)
    }
  }

  @Test("where there is none of the addresses, one error names each, or is its own")
  func noneAtAll() throws {
    try runLoop { loop, kernel in
      let open = kernel.openDescriptors
      let single = try await ioError { try await server(loop, hosts: ["192.0.2.78"]) }
      #expect(single == IOError(.addressNotAvailable, "bind", "192.0.2.78:0"))
      let both = try await ioError { try await server(loop, hosts: ["192.0.2.78", "192.0.2.79"], port: 81) }
      #expect(
        both.description == "bind 192.0.2.78:81, 192.0.2.79:81: every address failed: "
          + "bind 192.0.2.78:81: Cannot assign requested address (EADDRNOTAVAIL); "
          + "bind 192.0.2.79:81: Cannot assign requested address (EADDRNOTAVAIL)")
      #expect(kernel.openDescriptors == open)
    }
  }

  @Test("an address that is taken is an error, also when another one could be had")
  func taken() throws {
    try runLoop { loop, kernel in
      let first = try await server(loop, hosts: ["127.0.0.1"])
      let open = kernel.openDescriptors
      let error = try await ioError { try await server(loop, hosts: ["127.0.0.43", "127.0.0.1"], port: first.port) }
      #expect(error == IOError(.addressInUse, "bind", "127.0.0.1:\(first.port)"))
      #expect(kernel.openDescriptors == open)
      first.close()
    }
  }

  @Test("the port is that of every socket, and known after the close; the server knows its loop")
  func port() throws {
    try runLoop { loop, kernel in
      let server = try await server(loop, hosts: ["127.0.0.1", "127.0.0.2"])
      let port = server.port
      #expect(port > 0 && server.sockets.allSatisfy { $0.localAddress?.port == UInt16(port) })
      #expect(server.loop === loop)
      server.close()
      #expect(server.port == port)
      let again = try await self.server(loop, hosts: ["127.0.0.1"], port: port)
      #expect(again.port == port)
      again.close()
    }
  }

  @Test("a given socket on which listening fails is the caller's again", arguments: [TestKernel.Call.listen, .add])
  func listenFails(_ call: TestKernel.Call) throws {
    try runLoop { loop, kernel in
      let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      kernel.inject(.noMemory, into: call)
      let error = try await ioError { try await loop.createServer({ Recorder() }, socket: socket) }
      #expect(error.code == .noMemory && error.operation == "listen")
      #expect(!socket.isClosed && loop.readiness.watcher(of: socket.descriptor) == nil)
      let server = try await loop.createServer({ Recorder() }, socket: socket)
      let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
      try await loop.until { server.connectionCount == 1 }
      peer.close()
      server.close()
      try await server.waitClosed()
      #expect(socket.isClosed)
    }
  }
}
