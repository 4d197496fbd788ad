// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Datagram transport: protocol, flow control and closing")
struct DatagramTransportClosingTests {
  @Test("close sends what is queued, then connectionLost(nil)")
  func closeFlushes() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      kernel.limit(.sendBatch, toBytes: 1)
      for text in ["a", "b", "c"] { client.transport.sendTo(text) }
      client.transport.close()
      #expect(client.transport.isClosing)
      try await loop.until { client.isLost }
      #expect(client.calls == [.made, .lost(nil)])
      try await loop.until { server.datagrams.count == 3 }
      #expect(server.texts == ["a", "b", "c"])
      try await loop.close(server)
    }
  }

  @Test("nothing is delivered after close, though the queue is still being sent")
  func closeEndsReceiving() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      kernel.inject(.wouldBlock, into: .sendBatch, times: 3)
      client.transport.sendTo("late")
      client.transport.close()
      server.transport.sendTo("too late", client.address)
      try await loop.until { client.isLost && server.datagrams.count == 1 }
      #expect(client.datagrams.isEmpty)
      try await loop.close(server)
    }
  }

  @Test("connectionLost comes once and never inline, however often it is closed")
  func lostOnce() throws {
    try runLoop { loop, kernel in
      for end in [
        { $0.close() }, { $0.abort() },
        {
          $0.close(); $0.abort(); $0.close()
        },
      ] as [(DatagramTransport) -> Void] {
        let endpoint = try await loop.openEndpoint()
        #expect(!endpoint.transport.isClosing)
        end(endpoint.transport)
        #expect(endpoint.transport.isClosing)
        #expect(!endpoint.isLost, "not from inside")
        try await loop.until { endpoint.isLost }
        end(endpoint.transport)
        try await loop.turn()
        #expect(endpoint.calls == [.made, .lost(nil)])
      }
    }
  }

  @Test("abort drops the queue, also one that close is sending")
  func abortDrops() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("dropped")
      client.transport.close()
      client.transport.abort()
      #expect(client.transport.writeBufferSize == 0)
      try await loop.until { client.isLost }
      #expect(client.calls == [.made, .lost(nil)])
      let other = try await loop.connectedEndpoint(to: server)
      other.transport.sendTo("sent")
      try await loop.until { !server.datagrams.isEmpty }
      #expect(server.texts == ["sent"])
      #expect(kernel.count(of: .sendBatch) == 0)
      try await loop.close(server, other)
    }
  }

  @Test("datagrams after the end are dropped, with one warning for the endpoint, at the fifth")
  func lateSends() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let name = "(\(server.address))"
      client.transport.close()
      for _ in 0..<4 { client.transport.sendTo("late") }
      try await loop.until { client.isLost }
      #expect(CapturedLog.matching(name).isEmpty)
      for _ in 0..<100 { client.transport.sendTo("late") }
      #expect(CapturedLog.matching(name).count == 1)
      #expect(kernel.count(of: .sendDatagram) == 0)
      try await loop.close(server)
    }
  }

  @Test("an error that a protocol's method throws is reported, and closes the endpoint with it")
  func protocolErrors() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint()
      let errors = loop.collectErrors()
      var expected: [String] = []
      func run(_ method: String, _ prepare: (DatagramRecorder) -> Void) async throws {
        let recorder = DatagramRecorder()
        prepare(recorder)
        let client = try await loop.connectedEndpoint(recorder, to: server)
        server.transport.sendTo("x", client.address)
        server.transport.sendTo("y", client.address)
        try await loop.until { client.isLost }
        expected.append("error in a protocol's \(method)")
        #expect(errors.messages == expected)
        #expect(errors.contexts.last?.error as? TestError == TestError(number: 7))
        #expect(errors.contexts.last?.protocol === client)
        #expect(errors.contexts.last?.transport === client.transport)
        #expect((client.loss ?? nil) as? TestError == TestError(number: 7))
        #expect(client.lossCount == 1 && client.datagrams.count <= 1)
      }
      try await run("connectionMade") { $0.onMade = { _ in throw TestError(number: 7) } }
      try await run("datagramReceived") { $0.onDatagram = { _ in throw TestError(number: 7) } }
      try await run("errorReceived") { recorder in
        recorder.onError = { _ in throw TestError(number: 7) }
        recorder.onMade = { $0.sendTo([UInt8](repeating: 1, count: 65_508)) }
      }
      try await loop.close(server)
    }
  }

  @Test("pause above the high mark, resume at the low one, strictly in turns")
  func flowControl() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      #expect(client.transport.writeBufferLimits == (16 * 1024, 64 * 1024))
      let size = 100 - DatagramQueue.overhead
      client.transport.setWriteBufferLimits(high: 300, low: 100)
      kernel.limit(.sendBatch, toBytes: 1)
      for _ in 0..<2 {
        kernel.inject(.wouldBlock, into: .sendDatagram)
        for _ in 0..<3 { client.transport.sendTo(pattern(size)) }
        #expect(client.transport.writeBufferSize == 300)
        #expect(client.calls.last != .pause, "strictly above")
        var sizeAtResume = 0
        client.onResume = { sizeAtResume = client.transport.writeBufferSize }
        client.transport.sendTo(pattern(size))
        client.transport.sendTo(pattern(size))
        #expect(client.calls.last == .pause)
        try await loop.until { client.transport.writeBufferSize == 0 }
        #expect(sizeAtResume == 100, "as soon as the low mark is reached")
      }
      #expect(client.calls == [.made, .pause, .resume, .pause, .resume])
      try await loop.until { server.datagrams.count == 10 }
      try await loop.close(server, client)
    }
  }

  @Test("empty datagrams count too")
  func emptyOnesCount() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.setWriteBufferLimits(high: 10 * DatagramQueue.overhead, low: 0)
      kernel.inject(.wouldBlock, into: .sendDatagram)
      for _ in 0..<11 { client.transport.sendTo([]) }
      #expect(client.calls == [.made, .pause])
      try await loop.until { server.datagrams.count == 11 && client.calls.last == .resume }
      try await loop.close(server, client)
    }
  }

  @Test("new limits work at once; an error that pauseWriting or resumeWriting throws is only reported")
  func limitsAndErrors() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let errors = loop.collectErrors()
      client.onPause = { throw TestError() }
      client.onResume = { throw TestError() }
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("waits")
      client.transport.setWriteBufferLimits(high: 4)
      #expect(client.transport.writeBufferLimits == (1, 4))
      #expect(client.calls == [.made, .pause], "inline")
      try await loop.until { client.calls.last == .resume }
      #expect(errors.messages == ["error in a protocol's pauseWriting", "error in a protocol's resumeWriting"])
      #expect(!client.transport.isClosing)
      try await loop.close(server, client)
    }
  }

  @Test("closing inside datagramReceived drops the rest of the batch")
  func closeInBatch() throws {
    try runLoop { loop, kernel in
      for end in [{ $0.close() }, { $0.abort() }] as [(DatagramTransport) -> Void] {
        let (server, client) = try await loop.endpointPair()
        server.onDatagram = { _ in if server.datagrams.count == 2 { end(server.transport) } }
        for text in ["1", "2", "3", "4"] { client.transport.sendTo(text) }
        try await loop.until { server.isLost }
        #expect(server.calls == [.made, .datagram, .datagram, .lost(nil)])
        try await loop.close(client)
      }
    }
  }

  @Test("another protocol gets what follows, also of the same batch, without connectionMade")
  func setProtocol() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let second = DatagramRecorder()
      server.onDatagram = { _ in server.transport.setProtocol(second) }
      #expect(server.transport.getProtocol() === server)
      client.transport.sendTo("1")
      client.transport.sendTo("2")
      try await loop.until { second.texts == ["2"] }
      #expect(server.transport.getProtocol() === second)
      #expect(server.texts == ["1"])
      server.transport.close()
      try await loop.until { second.isLost }
      #expect(second.calls == [.datagram, .lost(nil)])
      #expect(!server.isLost)
      #expect(server.transport.getProtocol() == nil)
      server.transport.setProtocol(second)
      #expect(server.transport.getProtocol() == nil)
      server.onDatagram = nil
      try await loop.close(client)
    }
  }

  @Test("what connectionMade sends goes out, and what arrives waits for it to return")
  func sendInConnectionMade() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint()
      let recorder = DatagramRecorder()
      recorder.onMade = { transport in
        kernel.inject(.wouldBlock, into: .sendDatagram)
        transport.sendTo("queued")
        transport.sendTo("hello")
      }
      server.onDatagram = { server.transport.sendTo($0.bytes, $0.sender) }
      let client = try await loop.connectedEndpoint(recorder, to: server)
      try await loop.until { client.texts == ["queued", "hello"] }
      #expect(client.calls == [.made, .datagram, .datagram])
      server.onDatagram = nil
      try await loop.close(server, client)
    }
  }

  @Test("protocol, transport and socket are let go of after the end")
  func lifetime() throws {
    try runLoop { loop, kernel in
      weak var recorder: DatagramRecorder?
      weak var transport: DatagramTransport?
      func run(_ end: (DatagramTransport) -> Void) async throws {
        let endpoint = try await loop.openEndpoint()
        (recorder, transport) = (endpoint, endpoint.transport)
        kernel.inject(.wouldBlock, into: .sendDatagram)
        kernel.inject(.wouldBlock, into: .sendBatch)
        endpoint.transport.sendTo("x", endpoint.address)
        end(endpoint.transport)
        try await loop.until { endpoint.isLost }
        #expect(endpoint.transport.getExtraInfo(.socket)?.isClosed == true)
        endpoint.forgetTransport()
      }
      for end in [{ $0.close() }, { $0.abort() }] as [(DatagramTransport) -> Void] {
        try await run(end)
        try await loop.turn()
        #expect(recorder == nil && transport == nil)
      }
    }
  }

  @Test("a loop that closes takes its open endpoints with it, without a word to them")
  func loopCloses() throws {
    let recorder = DatagramRecorder()
    try withLoop { loop, kernel in
      loop.debug = true
      try loop.runUntilComplete {
        _ = try await loop.openEndpoint(recorder)
        kernel.inject(.wouldBlock, into: .sendDatagram)
        kernel.inject(.wouldBlock, into: .sendBatch)
        recorder.transport.sendTo("never", recorder.address)
      }
    }
    #expect(recorder.calls == [.made])
    #expect(recorder.transport.isClosing)
    #expect(CapturedLog.matching("a datagram endpoint (\(recorder.transport.localAddress!)) was still open").count == 1)
    recorder.transport.close()
    recorder.transport.sendTo("nobody listens")
  }

  @Test("A poller that refuses the endpoint ends it with the error")
  func pollerRefuses() throws {
    try runLoop { loop, kernel in
      kernel.inject(.noSpace, into: .add)
      let endpoint = try await loop.openEndpoint()
      try await loop.until { endpoint.isLost }
      #expect(endpoint.calls == [.made, .lost(.noSpace)])
    }
  }

  @Test("what does not fit the buffer is an error, and not half a datagram", arguments: [1000, 1001])
  func truncated(_ size: Int) throws {
    try runLoop { loop, kernel in
      let (near, far) = try kernel.makeSocketPair(.datagram)
      let peer = Socket(adopting: far, kernel: kernel)
      defer { peer.close() }
      let (_, endpoint) = try await loop.createDatagramEndpoint(
        { DatagramRecorder() }, socket: Socket(adopting: near, kernel: kernel))
      loop.transportMemory.messageBatch = DatagramBatch(capacity: 4, datagramSize: 1000)
      try kernel.real.send(far, pattern(size).span, to: nil)
      try kernel.real.send(far, "short".utf8Span.span, to: nil)
      try await loop.until { endpoint.calls.count == 3 }
      let fits = size <= 1000
      #expect(endpoint.calls == [.made, fits ? .datagram : .error(.messageTooLong), .datagram])
      if fits { #expect(endpoint.datagrams[0].bytes == pattern(size)) }
      #expect(endpoint.texts.last == "short")
      // Whoever is bound to nothing has no address.
      #expect(endpoint.datagrams.last?.sender == .unnamed)
      try await loop.close(endpoint)
    }
  }
}
