// SPDX-License-Identifier: Apache-2.0
import struct AsyncIOTesting.SeededGenerator
import SystemPackage
import Testing

@testable import AsyncIO

/// Random calls of a program, a peer and a kernel that refuses: whatever came last, the poller watches for what the
/// transport wants.
@Suite("Transports: the poller knows what is wanted")
struct SettlingTests {
  /// Walks until the transport is lost, or for so many steps, and checks after each.
  private func walk(
    _ seed: UInt64, _ transport: DescriptorTransport, _ loop: EventLoop,
    _ steps: [(name: String, act: () throws -> Void)],
    rarely: [(name: String, act: () throws -> Void)]
  ) async throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<60 where !transport.state.hasEnded {
      var name = "a turn of the loop"
      switch Int.random(in: 0..<40, using: &random) {
      case 0:
        guard let step = rarely.randomElement(using: &random) else { continue }
        name = step.name
        try step.act()
      case 1..<28:
        guard let step = steps.randomElement(using: &random) else { continue }
        name = step.name
        try step.act()
      default:
        try await loop.turn(1)
      }
      #expect(transport.watched == transport.wantedInterest, "seed \(seed), after \(name)")
    }
  }

  @Test("connections, plain and encrypted", arguments: [false, true], 0..<25 as Range<UInt64>)
  func connections(encrypted: Bool, seed: UInt64) throws {
    try runLoop { loop, kernel in
      let end = encrypted ? try await TLSEnd(loop, kernel) : nil
      let (recorder, peer): (Recorder, Peer)
      if let end {
        (recorder, peer) = (end.recorder, end.peer)
      } else {
        (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      }
      let transport = recorder.transport
      // A failed send leaves the delivery of what had arrived to turns of its own.
      recorder.onData = { if $0.count % 3 == 0 { transport.pauseReading() } }
      try await walk(
        seed, transport, loop,
        [
          ("write", { if transport.state.acceptsWrites { transport.write(pattern(700)) } }),
          ("writeLines", { if transport.state.acceptsWrites { transport.writeLines([pattern(9), [1]]) } }),
          ("pauseReading", { transport.pauseReading() }), ("resumeReading", { transport.resumeReading() }),
          ("setWriteBufferLimits", { transport.setWriteBufferLimits(high: 500) }),
          (
            "a kernel that refuses",
            {
              kernel.inject(.wouldBlock, into: .send)
              kernel.inject(.wouldBlock, into: .sendGathering)
            }
          ),
          (
            "a send of the peer's",
            {
              try end?.hand.send(octets("abc"))
              try? peer.send(end?.hand.takeOutgoing() ?? octets("abc"))
            }
          ),
          ("a read of the peer's", { _ = try? peer.receiveNow() }),
        ],
        rarely: [
          ("close", { transport.close() }), ("abort", { transport.abort() }),
          ("writeEOF", { if !encrypted { transport.writeEOF() } }),
          ("the peer's end", { try? peer.shutDownWriting() }),
          ("a send that fails", { kernel.inject(.brokenPipe, into: .send) }),
        ])
      kernel.clearInjections()
      transport.abort()
      #expect(transport.watched == [])
      try await loop.until { recorder.isLost }
    }
  }

  @Test("datagram endpoints", arguments: 0..<25 as Range<UInt64>)
  func datagrams(seed: UInt64) throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      let transport = client.transport
      try await walk(
        seed, transport, loop,
        [
          ("sendTo", { transport.sendTo(pattern(20)) }),
          ("a datagram", { server.transport.sendTo("x", transport.localAddress) }),
          (
            "a kernel that refuses",
            {
              kernel.inject(.wouldBlock, into: .sendDatagram)
              kernel.inject(.wouldBlock, into: .sendBatch)
            }
          ),
          ("an error", { kernel.inject(.messageTooLong, into: .sendBatch) }),
        ],
        rarely: [("close", { transport.close() }), ("abort", { transport.abort() })])
      kernel.clearInjections()
      transport.abort()
      #expect(transport.watched == [])
      server.transport.abort()
      try await loop.until { client.isLost && server.isLost }
    }
  }

  @Test("pipes", arguments: [PipeKind.pipe, .socketPair, .terminal], 0..<15 as Range<UInt64>)
  func pipes(kind: PipeKind, seed: UInt64) throws {
    try runLoop { loop, kernel in
      let (reader, source) = try await kind.reader(loop, kernel)
      let (writer, sink) = try await kind.writer(loop, kernel)
      try await walk(
        seed, reader.transport, loop,
        [
          ("pauseReading", { reader.transport.pauseReading() }),
          ("resumeReading", { reader.transport.resumeReading() }),
          ("a write at the other end", { try source.send("abc") }),
        ], rarely: [("close", { reader.transport.close() })])
      try await walk(
        seed, writer.transport, loop,
        [
          ("write", { writer.transport.write(pattern(100)) }),
          (
            "a kernel that refuses",
            {
              for call in [TestKernel.Call.write, .writeGathering, .send, .sendGathering] {
                kernel.inject(.wouldBlock, into: call)
              }
            }
          ),
          ("a read at the other end", { _ = try sink.receiveNow() }),
        ], rarely: [("close", { writer.transport.close() }), ("writeEOF", { writer.transport.writeEOF() })])
      kernel.clearInjections()
      reader.transport.close()
      writer.transport.abort()
      #expect(reader.transport.watched == [] && writer.transport.watched == [])
      try await loop.until { reader.isLost && writer.isLost }
    }
  }
}
