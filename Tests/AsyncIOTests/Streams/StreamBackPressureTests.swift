// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct StreamBackPressureTests {
  @Test("over twice the limit the transport is paused, at the limit or under it is resumed")
  func readingSide() throws {
    try runLoop { loop, kernel in
      let limit = 1000
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel, limit: limit)
      let transport = try #require(reader.transport)
      reader.feedData([UInt8](repeating: 1, count: 2 * limit))
      #expect(transport.isReading, "exactly twice the limit is not over it")
      reader.feedData([1])
      #expect(!transport.isReading)
      #expect(try await reader.read(limit).count == limit)
      #expect(!transport.isReading, "one more than the limit is left")
      #expect(try await reader.readExactly(1).count == 1)
      #expect(transport.isReading, "exactly the limit is left")
      peer.close()
      writer.close()
    }
  }

  @Test("a reader that does not read is not sent anything by its transport")
  func pausedTransportDoesNotReceive() throws {
    try runLoop { loop, kernel in
      let limit = 1000
      kernel.limit(.receive, toBytes: 500)
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel, limit: limit)
      let sent = try peer.fill()
      try await loop.until { reader.transport?.isReading == false }
      let receives = kernel.count(of: .receive)
      #expect(receives == 5, "the fifth receive brings it over 2000")
      try await loop.settle()
      #expect(kernel.count(of: .receive) == receives)
      kernel.limit(.receive, toBytes: nil)
      peer.close()
      #expect(try await reader.read().count == sent)
      writer.close()
    }
  }

  @Test("a paused transport is resumed when a read must wait for more than twice the limit")
  func resumedByWaitingRead() throws {
    try runLoop { loop, kernel in
      let limit = 100
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel, limit: limit)
      kernel.limit(.receive, toBytes: 64)
      try peer.send([UInt8](repeating: 7, count: 2000))
      try await loop.until { reader.transport?.isReading == false }
      #expect(try await reader.readExactly(1900).count == 1900)
      // Dropping a line that is too long makes room as well.
      try peer.send([UInt8](repeating: 8, count: 400))
      try await loop.until { reader.transport?.isReading == false }
      await #expect(throws: LineTooLongError.self) { try await reader.readLine() }
      #expect(reader.transport?.isReading == true)
      peer.close()
      writer.close()
    }
  }

  @Test("while a task waits for more than twice the limit, the transport is not paused")
  func notPausedInTheMiddle() throws {
    try runLoop { loop, kernel in
      let limit = 100
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel, limit: limit)
      kernel.limit(.receive, toBytes: 64)
      let body = try await loop.startWaiting { try await reader.readExactly(1900) }
      let changes = kernel.count(of: .receive)
      reader.feedData([UInt8](repeating: 7, count: 1000))
      #expect(reader.transport?.isReading == true)
      try peer.send([UInt8](repeating: 7, count: 900))
      #expect(try await body.value.count == 1900)
      #expect(kernel.count(of: .receive) - changes == 15, "no more than the bytes need")
      // Now nobody waits.
      reader.feedData([UInt8](repeating: 7, count: 201))
      #expect(reader.transport?.isReading == false)
      peer.close()
      writer.close()
    }
  }

  @Test("a peer that never reads makes drain wait; all tasks that wait wake when it reads")
  func drainWaits() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      writer.transport.setWriteBufferLimits(high: 10_000, low: 1000)
      try await writer.send("small")
      let count = 1 << 20
      writer.write([UInt8](repeating: 3, count: count))
      #expect(writer.transport.writeBufferSize > 10_000)
      var woken: [Int] = []
      var left: [Int] = []
      let tasks = (0..<10).map { number in
        loop.createTask {
          try await writer.drain()
          woken.append(number)
          left.append(writer.transport.writeBufferSize)
        }
      }
      try await loop.settle()
      #expect(woken == [])
      #expect(try await peer.receive(count + 5, loop).count == count + 5)
      for task in tasks { try await task.value }
      #expect(woken == Array(0..<10), "in the order in which they came")
      #expect(left.allSatisfy { $0 <= 1000 })
      try await writer.drain()
      writer.close()
      peer.close()
    }
  }

  @Test("tasks in drain wake with an error when the connection ends", arguments: [true, false])
  func drainOfEndingConnection(breaks: Bool) throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      writer.write([UInt8](repeating: 3, count: 1 << 20))
      var tasks: [LoopTask<Void>] = []
      for _ in 0..<5 { tasks.append(try await loop.startWaiting { try await writer.drain() }) }
      if breaks { peer.close() } else { writer.transport.abort() }
      for task in tasks {
        let error = await #expect(throws: IOError.self) { try await task.value }
        #expect(error?.code == .connectionReset || error?.code == .brokenPipe)
      }
      peer.close()
    }
  }

  @Test("a cancelled drain leaves the others waiting, and what is buffered is still sent")
  func cancelledDrain() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      let count = 1 << 20
      writer.write([UInt8](repeating: 3, count: count))
      let first = try await loop.startWaiting { try await writer.drain() }
      let second = try await loop.startWaiting { try await writer.drain() }
      first.cancel()
      await #expect(throws: CancellationError.self) { try await first.value }
      #expect(try await peer.receive(count, loop).count == count)
      try await second.value
      writer.close()
      peer.close()
    }
  }

  @Test("write and drain in a loop against a closed peer ends in an error", arguments: [true, false])
  func writeToClosedPeer(resets: Bool) throws {
    try runLoop { loop, _ in
      let (client, server) = try await loop.makeTCPStreams()
      if resets {
        // To close with data unread is to reset.
        server.reader.transport?.pauseReading()
        client.writer.write("never read")
      }
      server.writer.close()
      try await server.writer.waitClosed()
      let error = await #expect(throws: IOError.self) {
        while true { try await client.writer.send("more") }
      }
      #expect(error?.code == .connectionReset || error?.code == .brokenPipe)
      await #expect(throws: IOError.self) { try await client.writer.waitClosed() }
    }
  }

  @Test("a loop of writes and drains hears of its own close too")
  func writeAfterClose() throws {
    try runLoop { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      writer.close()
      var rounds = 0
      await #expect(throws: IOError.self) {
        while true {
          rounds += 1
          try await writer.send("more")
        }
      }
      #expect(rounds == 1)
      try await writer.waitClosed()
      peer.close()
    }
  }

  @Test("drain rethrows the reader's error; after a close it throws connection reset")
  func drainRethrows() throws {
    try runLoop { loop, kernel in
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel)
      try await writer.drain()
      reader.setError(TestError(number: 9))
      await #expect(throws: TestError(number: 9)) { try await writer.drain() }
      await #expect(throws: TestError(number: 9)) { try await writer.send("x") }
      writer.close()
      peer.close()
      let (_, second, secondPeer) = try await loop.makeStreamPair(kernel)
      second.close()
      let error = await #expect(throws: IOError.self) { try await second.drain() }
      #expect(error?.code == .connectionReset)
      secondPeer.close()
    }
  }

  @Test("a stream that never pauses gets one read in each turn, like any other")
  func fairness() throws {
    try runLoop { loop, kernel in
      kernel.limit(.receive, toBytes: 1024)
      var order: [Int] = []
      var tasks: [LoopTask<Void>] = []
      var peers: [Socket] = []
      for number in 0..<3 {
        let (reader, writer, peer) = try await loop.makeStreamPair(kernel)
        tasks.append(
          loop.createTask {
            for try await _ in reader { order.append(number) }
            writer.close()
          })
        peers.append(peer)
      }
      try await loop.settle()
      for peer in peers {
        try peer.send([UInt8](repeating: 1, count: 64 * 1024))
        peer.close()
      }
      for task in tasks { try await task.value }
      #expect(order.count == 3 * 64)
      for start in stride(from: 0, to: order.count, by: 3) {
        #expect(Set(order[start..<start + 3]).count == 3, "each turn serves each stream once")
      }
    }
  }

  @Test("a drain that was resumed before the end of its connection has not failed; one that comes later has")
  func resumedBeforeTheEnd() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PipeKind.pipe.writer(loop, kernel)
      let flow = StreamFlow(loop)
      flow.pauseWriting()
      let draining = loop.createTask { try await flow.drain(recorder.transport) }
      try await loop.until { draining.awaited != nil }
      flow.resumeWriting()
      flow.connectionLost(nil)
      try await draining.value
      let error = try await ioError { try await flow.drain(recorder.transport) }
      #expect(error.code == .connectionReset)
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
      peer.close()
    }
  }
}
