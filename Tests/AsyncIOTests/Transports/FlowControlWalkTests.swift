// SPDX-License-Identifier: Apache-2.0
import struct AsyncIOTesting.SeededGenerator
import SystemPackage
import Testing

@testable import AsyncIO

/// Pauses and resumptions of every transport under a protocol that writes, and moves the marks, from inside every call.
@Suite("Flow control: a random walk with a protocol that calls back")
struct FlowControlWalkTests {
  /// What a walk does to a transport.
  private struct Subject {
    var write: (Int) -> Void
    var setLimits: (_ high: Int, _ low: Int) -> Void
    var size: () -> Int
    var limits: () -> (low: Int, high: Int)
    /// Makes the next call of the kernel fail, now and then.
    var disturb: (inout SeededGenerator) -> Void
    /// Takes what has arrived at the other end.
    var drain: () throws -> Void = {}
  }

  /// The protocol's side: what it was told, held against the rules.
  private final class Walk {
    var random: SeededGenerator
    var subject: Subject?
    private(set) var isPaused = false
    private(set) var signals = 0
    private(set) var violations: [String] = []
    private var isInsidePause = false
    private var depth = 0

    init(_ seed: UInt64) { random = SeededGenerator(seed: seed) }

    func pause() {
      guard let subject else { return }
      signals += 1
      if isPaused { violations.append("paused twice") }
      isPaused = true
      if subject.size() <= subject.limits().high { violations.append("paused at \(subject.size())") }
      isInsidePause = true
      callBack()
      isInsidePause = false
      if !isPaused { violations.append("told to go on inside pauseWriting") }
    }

    func resume() {
      guard let subject else { return }
      signals += 1
      if !isPaused { violations.append("resumed twice") }
      isPaused = false
      if isInsidePause { violations.append("resumed inside a pause") }
      if subject.size() > subject.limits().low { violations.append("resumed at \(subject.size())") }
      callBack()
    }

    /// What a protocol may do in any of its methods.
    func callBack() {
      guard depth < 4 else { return }
      depth += 1
      for _ in 0..<Int.random(in: 0..<3, using: &random) { step() }
      depth -= 1
    }

    func step() {
      guard let subject else { return }
      subject.disturb(&random)
      if Int.random(in: 0..<4, using: &random) > 0 {
        subject.write(Int.random(in: 0..<40, using: &random))
      } else {
        let high = Int.random(in: 0..<100, using: &random)
        subject.setLimits(high, Int.random(in: 0...high, using: &random))
      }
      // Further up the stack a signal may be on its way; outside of all calls there is none.
      if depth == 0 { check() }
    }

    func check() {
      guard let subject else { return }
      let (size, limits) = (subject.size(), subject.limits())
      if size > limits.high, !isPaused { violations.append("not paused at \(size) over \(limits.high)") }
      if size <= limits.low, isPaused { violations.append("still paused at \(size) under \(limits.low)") }
    }
  }

  /// Walks, lets everything out, and looks at what was told.
  private func run(_ walk: Walk, _ seed: UInt64, _ loop: EventLoop, _ kernel: TestKernel) async throws {
    for _ in 0..<80 {
      if Bool.random(using: &walk.random) { walk.step() } else { try await loop.turn(1) }
      try walk.subject?.drain()
      walk.check()
    }
    kernel.clearInjections()
    try await loop.until {
      try walk.subject?.drain()
      return walk.subject?.size() == 0
    }
    walk.check()
    #expect(walk.violations == [], "seed \(seed)")
    #expect(walk.signals > 0, "seed \(seed)")
    walk.subject = nil
  }

  @Test("streams", arguments: 0..<30 as Range<UInt64>)
  func streams(_ seed: UInt64) throws {
    try runLoop { loop, kernel in
      let walk = Walk(seed)
      let (recorder, peer) = try await PairKind.socketPair.transport(loop, kernel)
      let transport = recorder.transport
      recorder.onPause = { walk.pause() }
      recorder.onResume = { walk.resume() }
      walk.subject = Subject(
        write: { transport.write(pattern($0)) }, setLimits: { transport.setWriteBufferLimits(high: $0, low: $1) },
        size: { transport.writeBufferSize }, limits: { transport.writeBufferLimits },
        disturb: { if Bool.random(using: &$0) { kernel.inject(.wouldBlock, into: .send) } },
        drain: { _ = try peer.receiveNow() })
      kernel.limit(.sendGathering, toBytes: 9)
      try await run(walk, seed, loop, kernel)
      transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("pipes", arguments: 0..<30 as Range<UInt64>)
  func pipes(_ seed: UInt64) throws {
    try runLoop { loop, kernel in
      let walk = Walk(seed)
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      let transport = recorder.transport
      recorder.onPause = { walk.pause() }
      recorder.onResume = { walk.resume() }
      walk.subject = Subject(
        write: { transport.writeLines([pattern($0)]) },
        setLimits: { transport.setWriteBufferLimits(high: $0, low: $1) },
        size: { transport.writeBufferSize }, limits: { transport.writeBufferLimits },
        disturb: { if Bool.random(using: &$0) { kernel.inject(.wouldBlock, into: .writeGathering) } },
        drain: { _ = try peer.receiveNow() })
      kernel.limit(.writeGathering, toBytes: 9)
      try await run(walk, seed, loop, kernel)
      transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("datagrams, of which some fail", arguments: 0..<60 as Range<UInt64>)
  func datagrams(_ seed: UInt64) throws {
    try runLoop { loop, kernel in
      let walk = Walk(seed)
      let (server, client) = try await loop.endpointPair()
      let transport = client.transport
      client.onPause = { walk.pause() }
      client.onResume = { walk.resume() }
      client.onError = { _ in walk.callBack() }
      walk.subject = Subject(
        write: { transport.sendTo(pattern($0)) }, setLimits: { transport.setWriteBufferLimits(high: $0, low: $1) },
        size: { transport.writeBufferSize }, limits: { transport.writeBufferLimits },
        disturb: { random in
          if Bool.random(using: &random) { kernel.inject(.wouldBlock, into: .sendDatagram) }
          if Bool.random(using: &random) { kernel.inject(.messageTooLong, into: .sendBatch) }
        })
      kernel.limit(.sendBatch, toBytes: 1)
      try await run(walk, seed, loop, kernel)
      try await loop.close(server, client)
    }
  }

  @Test("an error that is told in the middle of a flush, and answered by sending, leaves the protocol paused")
  func errorInsideFlush() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.setWriteBufferLimits(high: 10, low: 2)
      kernel.inject(.wouldBlock, into: .sendDatagram)
      client.transport.sendTo("first")
      kernel.inject(.messageTooLong, into: .sendBatch)
      kernel.inject(.wouldBlock, into: .sendBatch, times: .max)
      client.onError = { _ in
        kernel.inject(.wouldBlock, into: .sendDatagram)
        client.transport.sendTo("an answer that waits")
      }
      try await loop.until { client.calls.contains(.error(.messageTooLong)) }
      try await loop.turn()
      #expect(client.calls == [.made, .pause, .error(.messageTooLong)])
      #expect(client.transport.writeBufferSize > 10)
      kernel.clearInjections()
      try await loop.until { client.transport.writeBufferSize == 0 }
      #expect(client.calls == [.made, .pause, .error(.messageTooLong), .resume])
      try await loop.close(server, client)
    }
  }

  @Test("an end inside pauseWriting is not followed by resumeWriting", arguments: PairKind.allCases)
  func endInsidePause(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await kind.transport(loop, kernel)
      kernel.inject(.wouldBlock, into: .send)
      recorder.onPause = { recorder.transport.abort() }
      recorder.transport.setWriteBufferLimits(high: 0)
      recorder.transport.write("waits")
      recorder.transport.setWriteBufferLimits(high: 10)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .pause, .lost(nil)])
    }
  }
}
