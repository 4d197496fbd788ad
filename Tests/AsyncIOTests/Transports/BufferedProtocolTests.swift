// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// A recorder that brings its own buffer.
private final class BufferedRecorder: Recorder, BufferedProtocol {
  var buffer: [UInt8]
  var updates: [Int] = []
  var hints: [Int] = []
  var onBuffer: (() throws -> Void)?
  var onUpdate: ((Int) throws -> Void)?
  /// Whether `withBuffer` leaves its closure out.
  var skipsBody = false

  init(capacity: Int) { buffer = [UInt8](repeating: 0, count: capacity) }

  func withBuffer(sizeHint: Int, _ body: (inout MutableSpan<UInt8>) throws -> Void) throws {
    hints.append(sizeHint)
    try onBuffer?()
    if skipsBody { return }
    try buffer.withMutableSpan(body)
  }

  func bufferUpdated(_ count: Int) throws {
    updates.append(count)
    collected += buffer[..<count]
    try onUpdate?(count)
  }

  var collected: [UInt8] = []

  override func forgetHooks() {
    super.forgetHooks()
    (onBuffer, onUpdate) = (nil, nil)
  }
}

@Suite("Transport contract: protocol switching and buffered protocols")
struct BufferedProtocolTests {
  @Test("bytes land in the protocol's buffer, as often as it takes", arguments: PairKind.allCases)
  func fillsBuffer(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let recorder = BufferedRecorder(capacity: 10)
      let (_, peer) = try await kind.transport(loop, kernel, recorder)
      try peer.send(pattern(95))
      try await loop.until { recorder.collected.count == 95 }
      #expect(recorder.collected == pattern(95))
      #expect(recorder.updates == [Int](repeating: 10, count: 9) + [5])
      #expect(recorder.hints.allSatisfy { $0 > 0 })
      #expect(recorder.received == [])
      peer.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .eof, .lost(nil)])
      #expect(recorder.updates.count == 10)
    }
  }

  @Test("end of file with keep-open, would-block and errors are as for plain ones", arguments: PairKind.allCases)
  func endsAndErrors(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let recorder = BufferedRecorder(capacity: 100)
      recorder.onEOF = { true }
      let (_, peer) = try await kind.transport(loop, kernel, recorder)
      kernel.inject(.wouldBlock, into: .receive, times: 2)
      try peer.send("abc")
      try peer.shutDownWriting()
      try await loop.until { recorder.calls.contains(.eof) }
      #expect(recorder.collected == Array("abc".utf8))
      recorder.transport.write("still open")
      #expect(try await peer.receive(10, on: loop).count == 10)
      recorder.transport.close()
      try await loop.until { recorder.isLost }

      let failing = BufferedRecorder(capacity: 100)
      let (_, other) = try await kind.transport(loop, kernel, failing)
      kernel.inject(.connectionReset, into: .receive)
      try other.send("x")
      try await loop.until { failing.isLost }
      #expect(failing.calls == [.made, .lost(.connectionReset)])
      #expect(failing.updates == [])
    }
  }

  @Test("an empty buffer, or none, is a fatal error before anything is read", arguments: [false, true])
  func emptyBuffer(skipsBody: Bool) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = BufferedRecorder(capacity: 0)
      recorder.skipsBody = skipsBody
      let (_, peer) = try await PairKind.tcp.transport(loop, kernel, recorder)
      try peer.send("x")
      try await loop.until { recorder.isLost }
      #expect(kernel.count(of: .receive) == 0)
      #expect(recorder.loss.flatMap { $0 as? EventLoopError }?.code == .invalidArgument)
      #expect(errors.contexts.count == 1 && errors.messages[0].contains("withBuffer"))
      #expect(recorder.updates == [])
    }
  }

  @Test("an error of withBuffer or bufferUpdated is reported and closes with it", arguments: [false, true])
  func callbackErrors(inUpdate: Bool) throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let recorder = BufferedRecorder(capacity: 10)
      if inUpdate {
        recorder.onUpdate = { _ in throw TestError(number: 5) }
      } else {
        recorder.onBuffer = { throw TestError(number: 5) }
      }
      let (_, peer) = try await PairKind.tcp.transport(loop, kernel, recorder)
      try peer.send("x")
      try await loop.until { recorder.isLost }
      try await loop.turn()
      #expect(recorder.testLoss == TestError(number: 5))
      #expect(recorder.lossCount == 1)
      #expect(errors.contexts.count == 1)
      #expect(errors.messages[0].contains(inUpdate ? "bufferUpdated" : "withBuffer"))
      #expect(errors.contexts[0].protocol === recorder && errors.contexts[0].transport === recorder.transport)
    }
  }

  @Test("a close inside withBuffer, at the peer's end, is followed by no eofReceived", arguments: PairKind.allCases)
  func closeInsideBuffer(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let recorder = BufferedRecorder(capacity: 10)
      recorder.onBuffer = { recorder.transport.close() }
      let (_, peer) = try await kind.transport(loop, kernel, recorder)
      try peer.shutDownWriting()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
    }
  }

  @Test("pauseReading inside bufferUpdated stops delivery", arguments: PairKind.allCases)
  func pause(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let recorder = BufferedRecorder(capacity: 2)
      recorder.onUpdate = { _ in recorder.transport.pauseReading() }
      let (_, peer) = try await kind.transport(loop, kernel, recorder)
      try peer.send("abcd")
      try await loop.until { recorder.updates == [2] }
      try await loop.turn(4)
      #expect(recorder.updates == [2])
      recorder.transport.resumeReading()
      try await loop.until { recorder.updates == [2, 2] }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("setProtocol redirects what follows, without another connectionMade", arguments: PairKind.allCases)
  func setProtocol(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (first, peer) = try await kind.transport(loop, kernel)
      let transport = first.transport
      let second = Recorder()
      #expect(transport.getProtocol() === first)
      try peer.send("one")
      try await loop.until { first.text == "one" }
      transport.setProtocol(second)
      #expect(transport.getProtocol() === second)
      try peer.send("two")
      try await loop.until { second.text == "two" }
      transport.setWriteBufferLimits(high: 0)
      kernel.inject(.wouldBlock, into: .send)
      transport.write("x")
      #expect(try await peer.receive(1, on: loop) == [120])
      peer.close()
      try await loop.until { second.isLost }
      #expect(first.calls == [.made, .data])
      #expect(second.calls == [.data, .pause, .resume, .eof, .lost(nil)])
      transport.setProtocol(first)
      try await loop.turn()
      #expect(transport.getProtocol() == nil)
      #expect(first.calls == [.made, .data])
    }
  }

  @Test(
    "whose buffer is filled is told of it, also if it has itself replaced meanwhile", arguments: PairKind.allCases)
  func replacedWhileFilled(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (first, second) = (BufferedRecorder(capacity: 5), Recorder())
      let (_, peer) = try await kind.transport(loop, kernel, first)
      first.onBuffer = { first.transport.setProtocol(second) }
      try peer.send("0123456789")
      try await loop.until { first.collected.count + second.received.count == 10 }
      #expect(first.collected == Array("01234".utf8) && second.text == "56789")
      peer.close()
      try await loop.until { second.isLost }
      first.forgetHooks()
    }
  }

  @Test("from plain to buffered and back, from inside the callbacks", arguments: PairKind.allCases)
  func switchesKind(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      kernel.limit(.receive, toBytes: 3)
      let plain = Recorder()
      let buffered = BufferedRecorder(capacity: 100)
      plain.onData = { _ in plain.transport.setProtocol(buffered) }
      buffered.onUpdate = { _ in plain.transport.setProtocol(plain) }
      let (_, peer) = try await kind.transport(loop, kernel, plain)
      try peer.send("aaabbbcccddd")
      try await loop.until { plain.received.count + buffered.collected.count == 12 }
      #expect(plain.text == "aaaccc")
      #expect(buffered.collected == Array("bbbddd".utf8))
      peer.close()
      try await loop.until { plain.isLost }
      #expect(buffered.calls == [])
    }
  }

  @Test("bytes that arrived elsewhere are passed on through the buffer, in pieces")
  func passesBytesThrough() throws {
    let recorder = BufferedRecorder(capacity: 4)
    try (recorder as any BufferedProtocol).feed(pattern(10))
    #expect(recorder.updates == [4, 4, 2])
    #expect(recorder.hints == [10, 6, 2])
    #expect(recorder.collected == pattern(10))
    let empty = BufferedRecorder(capacity: 0)
    #expect(throws: EventLoopError.self) { try empty.feed([1]) }
    let lazy = BufferedRecorder(capacity: 4)
    lazy.skipsBody = true
    #expect(throws: EventLoopError.self) { try lazy.feed([1]) }
  }
}

extension BufferedProtocol {
  /// The default implementation, which the recorder's base class hides.
  fileprivate func feed(_ bytes: [UInt8]) throws {
    try Passing(self).dataReceived(bytes.span)
  }
}

/// Has nothing of its own but a buffer.
private final class Passing: BufferedProtocol {
  let target: any BufferedProtocol
  init(_ target: any BufferedProtocol) { self.target = target }
  func withBuffer(sizeHint: Int, _ body: (inout MutableSpan<UInt8>) throws -> Void) throws {
    try target.withBuffer(sizeHint: sizeHint, body)
  }
  func bufferUpdated(_ count: Int) throws { try target.bufferUpdated(count) }
}
