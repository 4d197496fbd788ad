// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Stream transport: extra information and failing system calls")
struct StreamTransportFaultTests {
  @Test("sockname, peername and socket are there in connectionMade", arguments: PairKind.allCases)
  func extraInfo(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (near, far) = try await kind.make(loop, kernel)
      let recorder = Recorder()
      recorder.onMade = { transport in
        #expect(transport.getExtraInfo(.socket) === near)
        #expect(transport.getExtraInfo(.sockname) == near.localAddress)
        #expect(transport.getExtraInfo(.peername) == far.localAddress)
        #expect(transport.localAddress != nil && transport.remoteAddress != nil)
      }
      let (transport, made) = try await loop.createConnection({ recorder }, socket: near)
      #expect(made === recorder && transport === recorder.kept)
      let address = transport.localAddress
      transport.abort()
      try await loop.until { recorder.isLost }
      // What was once asked for stays known; the socket can be looked at, and knows that it is closed.
      #expect(transport.getExtraInfo(.sockname) == address)
      #expect(transport.getExtraInfo(.peername) != nil)
      #expect(transport.getExtraInfo(.socket)?.isClosed == true)
      #expect(transport.getExtraInfo(.socket)?.localAddress == nil)
      far.close()
    }
  }

  @Test("a failed query gives nil, or the default")
  func failedQueries() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      // The first look at the peer is the check that there is one.
      kernel.inject(.noBufferSpace, into: .remoteAddress, skip: 1)
      kernel.inject(.noBufferSpace, into: .localAddress, times: 3)
      let fallback = try #require(SocketAddress(ip: "192.0.2.1", port: 9))
      let recorder = Recorder()
      recorder.onMade = { transport in
        #expect(transport.getExtraInfo(.sockname) == nil)
        #expect(transport.getExtraInfo(.sockname, default: fallback) == fallback)
        #expect(transport.getExtraInfo(.peername) == nil)
        #expect(transport.getExtraInfo(.peername, default: fallback) == fallback)
      }
      _ = try await loop.createConnection({ recorder }, socket: near)
      try Peer(far).send("works all the same")
      try await loop.until { !recorder.received.isEmpty }
      kernel.inject(.connectionReset, into: .receive)
      try Peer(far).send("x")
      try await loop.until { recorder.isLost }
      #expect(recorder.ioLoss?.subject == "descriptor \(near.descriptor.rawValue)")
      far.close()
    }
  }

  @Test("The poller refuses the descriptor: connectionLost with that error, and nothing leaks")
  func pollerRefuses() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let recorder = Recorder()
      kernel.inject(.noMemory, into: .add)
      _ = try await loop.createConnection({ recorder }, socket: near)
      #expect(!recorder.isLost && recorder.transport.isClosing)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(.noMemory)])
      #expect(recorder.ioLoss?.operation == "epoll")
      #expect(near.isClosed)
      #expect(errors.contexts.isEmpty)
      far.close()
    }
  }

  @Test("The poller refuses a change of interest: connectionLost with that error, not from inside the call")
  func pollerRefusesChange() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      kernel.inject(.noMemory, into: .modify)
      recorder.watchingForInlineLoss { $0.write("needs write interest") }
      #expect(recorder.transport.isClosing && !recorder.isLost)
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(.noMemory)])
      #expect(!recorder.wasLostInline)
      #expect(try await peer.receiveToEnd(on: loop) == [])
    }
  }

  @Test("A descriptor that the poller knows already, or does not know any more, is repaired")
  func pollerIsOutOfStep() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      // As if the number had been closed and opened again behind the loop's back.
      try loop.poller.remove(recorder.transport.socket.descriptor)
      kernel.inject(.wouldBlock, into: .send)
      recorder.transport.write("out")
      #expect(try await peer.receive(3, on: loop) == Array("out".utf8))
      try peer.send("in")
      try await loop.until { recorder.text == "in" }

      recorder.transport.pauseReading()
      // As if a duplicate in another process had kept the registration alive.
      try loop.poller.add(recorder.transport.socket.descriptor, .write, generation: 1)
      recorder.transport.resumeReading()
      try peer.send("more")
      try await loop.until { recorder.text == "inmore" }
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("A close that fails changes nothing", arguments: [Errno.ioError, .badFileDescriptor])
  func failingClose(_ code: Errno) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      kernel.inject(code, into: .close)
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
      #expect(try await peer.receiveToEnd(on: loop) == [])
    }
  }

  @Test("write after writeEOF is a programmer error that says so")
  func writeAfterWriteEOF() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
        recorder.transport.writeEOF()
        recorder.transport.write("too late")
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("StreamTransport.write: called after writeEOF()"))
  }

  @Test("impossible limits are a programmer error that says so")
  func impossibleLimits() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
        recorder.transport.setWriteBufferLimits(high: 10, low: 11)
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("setWriteBufferLimits: low (11) must not be negative, nor above high (10)"))
  }

  @Test("Closing a socket that belongs to a transport is a programmer error that says so")
  func closeTransportsSocket() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
        recorder.transport.getExtraInfo(.socket)?.close()
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("the socket belongs to a transport or server"))
  }
}
