// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Datagram endpoints: making them")
struct DatagramEndpointTests {
  @Test("no address and no family is rejected; a family alone is enough")
  func familyAlone() throws {
    try runLoop { loop, kernel in
      let error = await thrown {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: nil, remoteAddress: nil)
      }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      for family in [AddressFamily.ipv4, .ipv6] {
        let (transport, endpoint) = try await loop.createDatagramEndpoint(DatagramRecorder.init, family: family)
        #expect(transport.getExtraInfo(.sockname)?.family == family)
        #expect(endpoint.kept === transport)
        try await loop.close(endpoint)
      }
    }
  }

  @Test("connectionMade has come, with the addresses and the socket, when the call returns")
  func information() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint()
      let recorder = DatagramRecorder()
      var atStart: [SocketAddress?] = []
      recorder.onMade = { transport in
        atStart = [transport.getExtraInfo(.sockname), transport.getExtraInfo(.peername)]
      }
      let client = try await loop.connectedEndpoint(recorder, to: server)
      #expect(client.calls == [.made])
      #expect(atStart == [client.address, server.address])
      #expect(client.transport.remoteAddress == server.address)
      #expect(client.transport.getExtraInfo(.socket)?.kind == .datagram)
      #expect(server.transport.remoteAddress == nil)
      #expect(server.transport.getExtraInfo(.peername, default: .unnamed) == .unnamed)
      let descriptor = try #require(client.transport.getExtraInfo(.socket)).descriptor
      // The descriptor is the transport's.
      let error = await thrown { try loop.addReader(descriptor) {} }
      #expect((error as? EventLoopError)?.code == .descriptorInUse)
      try await loop.close(server, client)
      #expect(client.transport.localAddress != nil, "known while it was open")
    }
  }

  @Test("local and remote addresses of different families are rejected")
  func families() throws {
    try runLoop { loop, kernel in
      let error = await thrown {
        try await loop.createDatagramEndpoint(
          DatagramRecorder.init, localAddress: ("127.0.0.1", 0), remoteAddress: ("::1", 9))
      }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      #expect(String(describing: error).contains("(127.0.0.1:0) and the remote one ([::1]:9)"))
      #expect(kernel.count(of: .makeSocket) == 0)
    }
  }

  @Test("of names with several addresses, the family that both have is taken")
  func commonFamily() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint()
      let port = try #require(server.address.port)
      kernel.answerLookUps { query throws(ResolutionError) in
        let addresses = query.host == "both" ? ["::1", "127.0.0.1"] : ["127.0.0.1"]
        let port = UInt16(query.service ?? "") ?? 0
        return addresses.compactMap { SocketAddress(ip: $0, port: port) }.map {
          AddressInfo(family: $0.family, kind: .datagram, transportProtocol: 17, address: $0)
        }
      }
      let client = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localAddress: ("both", 0), remoteAddress: ("four", Int(port))
      ).protocol
      #expect(client.transport.remoteAddress == server.address)
      #expect(client.address.family == .ipv4)
      // The first that cannot be bound is followed by the next.
      kernel.inject(.addressNotAvailable, into: .bind)
      let other = try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: ("both", 0)).protocol
      #expect(other.address.family == .ipv4)
      // Where all fail, the first error surfaces.
      kernel.inject(.addressNotAvailable, into: .bind)
      kernel.inject(.permissionDenied, into: .bind)
      let error = try await ioError {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: ("both", 0))
      }
      #expect(error.code == .addressNotAvailable && error.subject == "[::1]:0")
      try await loop.close(server, client, other)
    }
  }

  @Test("a ready socket must be one for datagrams")
  func readySocket() throws {
    try runLoop { loop, kernel in
      let stream = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      let error = await thrown {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, socket: stream)
      }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      #expect(!stream.isClosed, "it stays the caller's")
      stream.close()
      let closed = try await ioError {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, socket: stream)
      }
      #expect(closed.code == .badFileDescriptor)

      let server = try await loop.openEndpoint()
      let socket = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      try socket.setNonBlocking(false)
      try socket.connect(to: server.address)
      let (transport, client) = try await loop.createDatagramEndpoint(DatagramRecorder.init, socket: socket)
      let isNonBlocking = try socket.isNonBlocking
      #expect(isNonBlocking)
      #expect(transport.remoteAddress == server.address)
      transport.sendTo("by the ready socket")
      try await loop.until { server.datagrams.count == 1 }
      let again = await thrown { try await loop.createDatagramEndpoint(DatagramRecorder.init, socket: socket) }
      #expect((again as? IOError)?.code == .badFileDescriptor, "a socket has one owner")
      try await loop.close(server, client)
      #expect(socket.isClosed)
    }
  }

  @Test("REUSEPORT and BROADCAST only on request, REUSEADDR never")
  func options() throws {
    try runLoop { loop, kernel in
      func options(_ endpoint: DatagramRecorder) throws -> [Bool] {
        guard let socket = endpoint.transport.getExtraInfo(.socket) else { return [] }
        return [try socket.option(.reusePort), try socket.option(.broadcast), try socket.option(.reuseAddress)]
      }
      let plain = try await loop.openEndpoint()
      #expect(try options(plain) == [false, false, false])
      let first = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localAddress: ("127.0.0.1", 0), reusePort: true
      ).protocol
      #expect(try options(first) == [true, false, false])
      let port = Int(try #require(first.address.port))
      let second = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localAddress: ("127.0.0.1", port), reusePort: true, allowBroadcast: true
      ).protocol
      #expect(try options(second) == [true, true, false])
      let error = try await ioError {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: ("127.0.0.1", port))
      }
      #expect(error.code == .addressInUse && error.subject == first.address.description)
      try await loop.close(plain, first, second)
    }
  }

  @Test("with allowBroadcast the socket is not connected, and datagrams still go to the remote address")
  func broadcast() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint()
      let other = try await loop.openEndpoint()
      let port = Int(try #require(server.address.port))
      let client = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, remoteAddress: ("127.0.0.1", port), allowBroadcast: true
      ).protocol
      #expect(kernel.count(of: .connect) == 0)
      #expect(client.transport.remoteAddress == nil)
      client.transport.sendTo("to all")
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("queued")
      try await loop.until { server.texts == ["to all", "queued"] }
      // An answer may come from anyone.
      let target = SocketAddress(ip: "127.0.0.1", port: client.address.port ?? 0)
      other.transport.sendTo("here", target)
      try await loop.until { client.datagrams.count == 1 }
      #expect(client.datagrams[0].sender == other.address)
      try await loop.close(server, other, client)
    }
  }

  @Test("A connected endpoint gets nothing from others")
  func connectedOnly() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let other = try await loop.openEndpoint()
      other.transport.sendTo("from elsewhere", client.address)
      server.transport.sendTo("from the peer", client.address)
      try await loop.until { !client.datagrams.isEmpty }
      try await loop.turn()
      #expect(client.texts == ["from the peer"])
      try await loop.close(server, client, other)
    }
  }

  @Test("whichever call fails, the error surfaces and nothing is left open")
  func failures() throws {
    try runLoop { loop, kernel in
      let open = kernel.openDescriptors
      for call in [TestKernel.Call.makeSocket, .setOption, .bind, .connect] {
        kernel.inject(.permissionDenied, into: call)
        let error = try await ioError {
          try await loop.createDatagramEndpoint(
            DatagramRecorder.init, localAddress: ("127.0.0.1", 0), remoteAddress: ("127.0.0.1", 9), reusePort: true)
        }
        #expect(error.code == .permissionDenied)
        #expect(kernel.openDescriptors == open, "\(call)")
      }
      // The second option.
      kernel.inject(.protocolNotAvailable, into: .setOption, skip: 1)
      let option = try await ioError {
        try await loop.createDatagramEndpoint(
          DatagramRecorder.init, localAddress: ("127.0.0.1", 0), reusePort: true, allowBroadcast: true)
      }
      #expect(option.code == .protocolNotAvailable)
      let factory = await thrown {
        try await loop.createDatagramEndpoint(
          { () throws -> DatagramRecorder in throw TestError(number: 3) }, localAddress: ("127.0.0.1", 0))
      }
      #expect(factory as? TestError == TestError(number: 3))
      for address in [("127.0.0.1", -1), ("127.0.0.1", 65_536)] {
        let port = try await ioError {
          try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: address)
        }
        #expect(port.code == .invalidArgument)
      }
      #expect(kernel.openDescriptors == open)
    }
  }

  @Test("A factory that throws leaves a ready socket to the caller")
  func factoryAndSocket() throws {
    try runLoop { loop, kernel in
      let socket = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      _ = await thrown {
        try await loop.createDatagramEndpoint({ () throws -> DatagramRecorder in throw TestError() }, socket: socket)
      }
      #expect(!socket.isClosed)
      socket.close()
    }
  }

  @Test("An empty local host means all interfaces")
  func allInterfaces() throws {
    try runLoop { loop, kernel in
      let server = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localAddress: ("", 0), family: .ipv4
      ).protocol
      #expect(server.address.host == "0.0.0.0")
      try await loop.close(server)
    }
  }

  @Test("Cancelled during the look-up, it leaves nothing behind")
  func cancelled() throws {
    try runLoop { loop, kernel in
      kernel.answerLookUps { query throws(ResolutionError) in
        throw ResolutionError(code: -2, message: "never heard of it", subject: query.subject)
      }
      let error = await thrown {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, remoteAddress: ("unknown.invalid", 9))
      }
      #expect((error as? ResolutionError)?.message == "never heard of it")
      let task = loop.createTask {
        _ = try await loop.createDatagramEndpoint(DatagramRecorder.init, remoteAddress: ("unknown.invalid", 9))
      }
      task.cancel()
      let outcome = await task.outcome
      #expect(throws: CancellationError.self) { try outcome.get() }
      #expect(kernel.count(of: .makeSocket) == 0)
    }
  }

  @Test("an address other than the endpoint's remote one is an error that closes nothing")
  func otherAddress() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let other = try #require(SocketAddress(ip: "127.0.0.1", port: 10))
      client.transport.sendTo("x", other)
      let error = try #require(client.ioErrors.first)
      #expect(error.code == .socketIsConnected && error.operation == "send")
      #expect(error.subject == "\(other) (the endpoint's remote address is \(server.address))")
      client.transport.sendTo("y", server.address)
      try await loop.until { server.texts == ["y"] }
      #expect(client.calls == [.made, .error(.socketIsConnected)])
      try await loop.close(server, client)
    }
  }

  @Test("an endpoint made for a wildcard address has its peer's as the kernel chose it", arguments: ["0.0.0.0", "::"])
  func wildcard(_ host: String) throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint(host: host == "::" ? "::1" : "127.0.0.1")
      let port = Int(try #require(server.address.port))
      let client = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, remoteAddress: (host, port)
      ).protocol
      #expect(client.transport.remoteAddress == server.address)
      #expect(client.transport.getExtraInfo(.peername) == server.address)
      server.onDatagram = { server.transport.sendTo($0.bytes, $0.sender) }
      client.onDatagram = { datagram in
        // To whoever has sent this: a program's usual answer.
        if client.datagrams.count < 3 { client.transport.sendTo(datagram.bytes, datagram.sender) }
      }
      client.transport.sendTo("ping", SocketAddress(ip: host, port: UInt16(port)))
      try await loop.until { client.datagrams.count == 3 }
      #expect(client.errors.isEmpty)
      (server.onDatagram, client.onDatagram) = (nil, nil)
      try await loop.close(server, client)
    }
  }

  @Test("a broadcasting endpoint's other addresses are errors too")
  func otherThanBroadcast() throws {
    try runLoop { loop, kernel in
      let client = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, remoteAddress: ("127.255.255.255", 9), allowBroadcast: true
      ).protocol
      client.transport.sendTo("x", SocketAddress(ip: "127.0.0.1", port: 10))
      #expect(client.ioErrors.map(\.code) == [.socketIsConnected])
      try await loop.close(client)
    }
  }
}
