// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// What transports can be asked after their end, and what they are called in logs.
@Suite("Transports after their end")
struct ExtraInfoTests {
  @Test("a connection's addresses stay, also if nobody asked before", arguments: [true, false])
  func connection(aborts: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let (own, others) = (peer.socket.remoteAddress, peer.socket.localAddress)
      if aborts { recorder.transport.abort() } else { recorder.transport.close() }
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(own != nil && recorder.transport.localAddress == own)
      #expect(recorder.transport.getExtraInfo(.sockname) == own)
      #expect(recorder.transport.getExtraInfo(.peername) == others)
      #expect(recorder.transport.getExtraInfo(.socket)?.isClosed == true)
      let name = try #require(others).description
      #expect("\(recorder.transport)" == "connection with \(name)")
    }
  }

  @Test("a server's connection has one socket to look at, which is closed with it", arguments: [true, false])
  func acceptedSocket(isAskedBefore: Bool) throws {
    try runLoop { loop, kernel in
      let (server, accepted, peer) = try await connected(loop, kernel)
      let transport = accepted.recorders[0].transport
      let before = isAskedBefore ? transport.getExtraInfo(.socket) : nil
      if let before {
        #expect(!before.isClosed && before.localAddress == server.address)
        #expect(transport.getExtraInfo(.socket) === before)
        // It is the transport's.
        #expect(throws: IOError(.badFileDescriptor, "detach", "a socket that is closed or in use")) {
          try before.detach()
        }
      }
      transport.close()
      try await loop.until { accepted.recorders[0].isLost }
      try await loop.turn()
      let after = try #require(transport.getExtraInfo(.socket))
      #expect(after.isClosed && after.localAddress == nil && (before == nil || before === after))
      #expect(transport.localAddress == server.address)
      #expect(try await peer.receiveToEnd(on: loop) == [])
      server.close()
    }
  }

  @Test("an endpoint's addresses stay")
  func datagrams() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let address = server.address
      client.transport.close()
      try await loop.until { client.isLost }
      #expect(client.transport.localAddress?.host == "127.0.0.1")
      #expect(client.transport.getExtraInfo(.peername) == address)
      #expect("\(server.transport)" == "datagram endpoint \(address)")
      try await loop.close(server)
      #expect(server.transport.localAddress == address)
    }
  }

  @Test("a closed loop's transports still tell of whom they were")
  func closedLoop() throws {
    let (stream, datagram) = (Recorder(), DatagramRecorder())
    var expected: SocketAddress?
    try withLoop { loop, kernel in
      try loop.runUntilComplete {
        let (_, peer) = try await PairKind.tcp.transport(loop, kernel, stream)
        expected = peer.socket.remoteAddress
        _ = try await loop.openEndpoint(datagram)
      }
      // Nobody has asked before.
      loop.close()
      #expect(stream.transport.localAddress == expected && expected != nil)
      #expect(stream.transport.getExtraInfo(.peername)?.host == "127.0.0.1")
      #expect(datagram.transport.localAddress?.host == "127.0.0.1")
      stream.peer?.close()
    }
  }

  @Test("pipes and child processes answer what there is, or the default")
  func others() throws {
    try runLoop { loop, kernel in
      let (reader, _) = try await PipeKind.pipe.reader(loop, kernel)
      let descriptor = try #require(reader.transport.getExtraInfo(.pipe))
      #expect("\(reader.transport)" == "reading pipe \(descriptor.rawValue)")
      reader.transport.close()
      try await loop.until { reader.isLost }
      #expect(reader.transport.getExtraInfo(.pipe) == descriptor)
      #expect(reader.transport.getExtraInfo(.peername) == nil)

      let child = try await loop.createSubprocessExec("/bin/cat", on: .pty())
      let terminal = try #require(child.transport.terminal)
      #expect(terminal.getExtraInfo(.pipe) != nil)
      #expect(child.transport.getExtraInfo(.pipe) == nil)
      #expect(child.transport.getExtraInfo(.peername, default: .unnamed) == .unnamed)
      #expect("\(child.transport)" == "child process \(child.pid)")
      terminal.close()
      _ = try await child.wait()
    }
  }

  @Test("an error that a layer above gives up with is what connectionLost is told")
  func abortWithError() throws {
    try runLoop { loop, kernel in
      let reason = TestError(number: 3)
      let (stream, _) = try await PairKind.tcp.transport(loop, kernel)
      let (pipe, _) = try await PipeKind.pipe.writer(loop, kernel)
      let endpoint = try await loop.openEndpoint()
      kernel.inject(.wouldBlock, into: .send)
      stream.transport.write("dropped")
      stream.transport.abort(reason)
      stream.transport.abort(TestError(number: 4))
      pipe.transport.abort(reason)
      endpoint.transport.abort(reason)
      try await loop.until { stream.isLost && pipe.isLost && endpoint.isLost }
      #expect(stream.testLoss == reason && stream.transport.writeBufferSize == 0)
      #expect((pipe.loss ?? nil) as? TestError == reason)
      #expect((endpoint.loss ?? nil) as? TestError == reason)
    }
  }

  @Test("another protocol hears the rest of a child process")
  func childsProtocol() throws {
    try runLoop { loop, kernel in
      let (first, second) = (ProcessRecorder(), ProcessRecorder())
      let (transport, _) = try await loop.subprocessExec(
        { first }, "/bin/cat", stdin: .pipe, stdout: .pipe)
      #expect(transport.getProtocol() === first)
      transport.setProtocol(second)
      #expect(transport.getProtocol() === second)
      let input = try #require(transport.pipeTransport(0) as? WritePipeTransport)
      input.write("through")
      input.close()
      try await loop.until { transport.getProtocol() == nil }
      #expect(second.text == "through")
      transport.setProtocol(first)
      #expect(transport.getProtocol() == nil)
    }
  }

  @Test("what a protocol throws is reported with the peer's name")
  func reports() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.onData = { _ in throw TestError() }
      try peer.send("x")
      try await loop.until { recorder.isLost }
      let text = try #require(errors.contexts.first).description
      let name = try #require(recorder.transport.remoteAddress).description
      #expect(text.contains("(connection with \(name))"))
    }
  }

  @Test("the error of a stream server's handler is reported with the client's name")
  func handler() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, _ in _ = try await reader.read() }
      let peer = try await Peer.connect(to: try #require(server.sockets[0].localAddress), loop, kernel)
      let name = try #require(peer.socket.localAddress).description
      try await loop.until { server.connectionCount == 1 }
      try await loop.turn()
      peer.reset()
      try await loop.until { errors.contexts.count == 1 }
      #expect(errors.contexts[0].description.hasSuffix("(connection with \(name))"))
      server.close()
      try await server.waitClosed()
    }
  }
}
