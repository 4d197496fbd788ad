// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Transport contract: closing")
struct TransportContractClosingTests {
  @Test(
    "writeEOF flushes to a slow reader before it shuts down; reading goes on", arguments: PairKind.allCases
  )
  func writeEOF(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      recorder.transport.write(sent)
      recorder.transport.writeEOF()
      #expect(recorder.transport.canWriteEOF)
      #expect(recorder.transport.writeBufferSize > 0)
      #expect(kernel.count(of: .shutdownWrite) == 0)
      recorder.transport.writeEOF()
      #expect(try await peer.receiveToEnd(on: loop) == sent)
      #expect(kernel.count(of: .shutdownWrite) == 1)
      #expect(!recorder.transport.isClosing)
      recorder.transport.writeEOF()
      try peer.send("the answer")
      try await loop.until { recorder.text == "the answer" }
      #expect(kernel.count(of: .shutdownWrite) == 1)
      recorder.transport.close()
      recorder.transport.writeEOF()
      try await loop.until { recorder.isLost }
      recorder.transport.writeEOF()
      #expect(kernel.count(of: .shutdownWrite) == 1)
    }
  }

  @Test("writeEOF with nothing buffered shuts down at once, and twice is once", arguments: PairKind.allCases)
  func writeEOFAtOnce(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      recorder.transport.write("all")
      recorder.transport.writeEOF()
      recorder.transport.writeEOF()
      #expect(kernel.count(of: .shutdownWrite) == 1)
      #expect(try await peer.receiveToEnd(on: loop) == Array("all".utf8))
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("writeEOF, then close, while bytes wait: all of them arrive, then the end", arguments: PairKind.allCases)
  func writeEOFThenClose(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      recorder.transport.write(sent)
      recorder.transport.writeEOF()
      recorder.transport.close()
      #expect(try await peer.receiveToEnd(on: loop) == sent)
      try await loop.until { recorder.isLost }
      #expect(recorder.lossCount == 1 && recorder.loss.map { $0 == nil } == true)
    }
  }

  @Test("a failing shutdown is left to reading to notice", arguments: PairKind.allCases)
  func failingShutdown(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel)
      kernel.inject(.socketNotConnected, into: .shutdownWrite)
      recorder.transport.writeEOF()
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .eof, .lost(nil)])
    }
  }

  @Test("close stops reading at once, sends the whole buffer, then reports", arguments: PairKind.allCases)
  func closeFlushes(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      let sent = pattern(plenty)
      recorder.transport.write(sent)
      recorder.transport.close()
      #expect(recorder.transport.isClosing && !recorder.transport.isReading)
      recorder.transport.resumeReading()
      recorder.transport.write("too late")
      try peer.send("nobody reads this")
      try await loop.turn(3)
      #expect(!recorder.isLost)
      // The peer's bytes were never read, and a close would turn into a reset; so only the count is awaited.
      #expect(try await peer.receive(sent.count, on: loop) == sent)
      try await loop.until { recorder.isLost }
      #expect(recorder.received == [])
      #expect(recorder.lossCount == 1 && recorder.loss.map { $0 == nil } == true)
    }
  }

  @Test("abort drops the buffer, also one that close is flushing", arguments: PairKind.allCases, [false, true])
  func abort(_ kind: PairKind, afterClose: Bool) throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await kind.transport(loop, kernel, smallBuffers: true)
      recorder.transport.write(pattern(plenty))
      let sent = plenty - recorder.transport.writeBufferSize
      if afterClose { recorder.transport.close() }
      recorder.watchingForInlineLoss { $0.abort() }
      #expect(recorder.transport.isClosing && recorder.transport.writeBufferSize == 0)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .lost(nil)])
      #expect(!recorder.wasLostInline)
      #expect(try await peer.receiveToEnd(on: loop).count == sent)
    }
  }

  /// What can end a connection.
  enum Ending: CaseIterable {
    case close, abort, failingWrite, failingRead, peerCloses
  }

  static let orders: [[Ending]] = Ending.allCases.flatMap { first in
    Ending.allCases.flatMap { second in Ending.allCases.map { [first, second, $0] } }
  }

  @Test("connectionLost once and never inline, in all orders of three endings", arguments: PairKind.allCases)
  func allOrders(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      for order in Self.orders {
        for hasUnsentBytes in [false, true] {
          let (recorder, peer) = try await kind.transport(loop, kernel)
          let transport = recorder.transport
          if hasUnsentBytes {
            kernel.inject(.wouldBlock, into: .send)
            transport.write("unsent")
          }
          recorder.watchingForInlineLoss { transport in
            for ending in order {
              switch ending {
              case .close: transport.close()
              case .abort: transport.abort()
              case .failingWrite:
                kernel.inject(.brokenPipe, into: .send)
                transport.write("fails")
                kernel.clearInjections()
              case .failingRead: kernel.inject(.connectionReset, into: .receive)
              case .peerCloses: peer.close()
              }
            }
            // In case that none of them was an end yet.
            transport.close()
          }
          #expect(!recorder.isLost, "\(order)")
          try await loop.until { recorder.isLost }
          kernel.clearInjections()
          transport.close()
          transport.abort()
          transport.write("late")
          try await loop.turn(2)
          #expect(recorder.lossCount == 1, "\(order)")
          #expect(recorder.calls.last == recorder.calls.last { if case .lost = $0 { true } else { false } })
          #expect(!recorder.wasLostInline, "\(order)")
          #expect(transport.getProtocol() == nil)
          peer.close()
        }
      }
      #expect(errors.contexts.isEmpty)
    }
  }

  @Test("connectionLost is not inline, from whatever callback the end is asked for", arguments: PairKind.allCases)
  func endsFromCallbacks(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      enum Place: CaseIterable { case made, data, eof, pause, resume }
      for place in Place.allCases {
        for aborts in [false, true] {
          let recorder = Recorder()
          let end = {
            recorder.watchingForInlineLoss { transport in
              if aborts { transport.abort() } else { transport.close() }
              transport.write("dropped")
            }
          }
          switch place {
          case .made: recorder.onMade = { _ in end() }
          case .data: recorder.onData = { _ in end() }
          case .eof:
            recorder.onEOF = {
              end()
              return true
            }
          case .pause: recorder.onPause = end
          case .resume: recorder.onResume = end
          }
          let (_, peer) = try await kind.transport(loop, kernel, recorder)
          recorder.transport.setWriteBufferLimits(high: 0)
          if place != .made {
            kernel.inject(.wouldBlock, into: .send)
            recorder.transport.write("x")
            try peer.send("y")
            try peer.shutDownWriting()
          }
          try await loop.until { recorder.isLost }
          try await loop.turn(2)
          #expect(recorder.lossCount == 1, "\(place)")
          #expect(recorder.calls.last == .lost(nil), "\(place)")
          #expect(!recorder.wasLostInline, "\(place)")
          kernel.clearInjections()
        }
      }
    }
  }

  @Test("an error of connectionMade is reported, closes with it, and connectionLost follows")
  func connectionMadeThrows() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = Recorder()
      recorder.onMade = { _ in throw TestError(number: 3) }
      let (_, peer) = try await PairKind.tcp.transport(loop, kernel, recorder)
      try peer.send("unread")
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(nil)])
      #expect(recorder.testLoss == TestError(number: 3))
      #expect(errors.contexts.count == 1 && errors.messages[0].contains("connectionMade"))
    }
  }

  @Test("an error of connectionLost is reported, and everything is let go of all the same")
  func connectionLostThrows() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (recorder, _) = try await PairKind.tcp.transport(loop, kernel)
      recorder.onLost = { throw TestError(number: 4) }
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.calls == [.made, .lost(nil)])
      #expect(errors.contexts.count == 1 && errors.messages[0].contains("connectionLost"))
      #expect(errors.contexts.first?.protocol === recorder)
      #expect(recorder.transport.getProtocol() == nil)
      #expect(recorder.transport.socket.isClosed)
    }
  }

  @Test("isClosing is true from close or abort on", arguments: PairKind.allCases)
  func isClosing(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      for aborts in [false, true] {
        let (recorder, _) = try await kind.transport(loop, kernel)
        #expect(!recorder.transport.isClosing)
        if aborts { recorder.transport.abort() } else { recorder.transport.close() }
        #expect(recorder.transport.isClosing)
        try await loop.until { recorder.isLost }
        #expect(recorder.transport.isClosing && !recorder.transport.isReading)
      }
    }
  }
}
