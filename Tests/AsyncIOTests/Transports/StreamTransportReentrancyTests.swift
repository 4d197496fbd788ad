// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// What callbacks may do to other connections whose events were polled together with theirs. The pairs are socket pairs:
/// what one end sends is there when the call returns, so that the events come in one batch and in order.
@Suite("Stream transport: re-entrancy")
struct StreamTransportReentrancyTests {
  /// Two connections, of which the first becomes ready before the second, in one batch.
  private struct Two {
    let first: Recorder
    let second: Recorder
    let firstPeer: Peer
    let secondPeer: Peer

    init(_ loop: EventLoop, _ kernel: TestKernel) async throws {
      (first, firstPeer) = try await PairKind.socketPair.transport(loop, kernel)
      (second, secondPeer) = try await PairKind.socketPair.transport(loop, kernel)
    }

    /// Sends to both between two polls.
    func sendBoth(_ loop: EventLoop) async throws {
      let (first, second, firstPeer, secondPeer) = (first, second, firstPeer, secondPeer)
      let inOneBatch = Flag()
      let before = first.onData
      first.onData = {
        inOneBatch.isSet = loop.events.value.contains { $0.descriptor == second.transport.socket.descriptor.rawValue }
        try before?($0)
      }
      loop.callSoon {
        try firstPeer.send("1")
        try secondPeer.send("2")
      }
      try await loop.until { !first.received.isEmpty }
      #expect(inOneBatch.isSet)
    }

    func close(_ loop: EventLoop) async throws {
      first.transport.abort()
      second.transport.abort()
      let (first, second) = (first, second)
      try await loop.until { first.isLost && second.isLost }
    }
  }

  private final class Flag {
    var isSet = false
  }

  @Test("a pause holds back an event of the same batch")
  func pauseOther() throws {
    try runLoop { loop, kernel in
      let two = try await Two(loop, kernel)
      two.first.onData = { _ in two.second.transport.pauseReading() }
      try await two.sendBoth(loop)
      try await loop.turn(4)
      #expect(two.second.calls == [.made])
      #expect(kernel.count(of: .receive) == 1)
      two.second.transport.resumeReading()
      try await loop.until { two.second.text == "2" }
      try await two.close(loop)
    }
  }

  @Test(
    "a close or abort of another connection drops its event of the same batch", arguments: [false, true])
  func closeOther(aborts: Bool) throws {
    try runLoop { loop, kernel in
      let two = try await Two(loop, kernel)
      two.first.onData = { _ in
        two.second.watchingForInlineLoss { aborts ? $0.abort() : $0.close() }
      }
      try await two.sendBoth(loop)
      try await loop.until { two.second.isLost }
      #expect(two.second.calls == [.made, .lost(nil)])
      #expect(!two.second.wasLostInline)
      #expect(kernel.count(of: .receive) == 1)
      try await two.close(loop)
    }
  }

  @Test("another connection's new protocol gets its event of the same batch")
  func switchOther() throws {
    try runLoop { loop, kernel in
      let two = try await Two(loop, kernel)
      let third = Recorder()
      two.first.onData = { _ in two.second.transport.setProtocol(third) }
      try await two.sendBoth(loop)
      try await loop.until { third.text == "2" }
      #expect(two.second.calls == [.made])
      two.second.transport.setProtocol(two.second)
      try await two.close(loop)
    }
  }

  @Test("a descriptor number's next owner does not get the event of its previous one")
  func numberIsUsedAgain() throws {
    try runLoop { loop, kernel in
      let (first, firstPeer) = try await PairKind.socketPair.transport(loop, kernel)
      // The former owner: watched by the program, so that its number is free as soon as the program says so.
      let (former, formerPeer) = try kernel.makeSocketPair(.stream)
      let (heir, heirPeer) = try kernel.makeSocketPair(.stream)
      var formerWasCalled = false
      try loop.addReader(former) { formerWasCalled = true }
      let recorder = Recorder()
      first.onData = { _ in
        #expect(loop.events.value.contains { $0.descriptor == former.rawValue })
        try loop.removeReader(former)
        // Closes the former owner and gives the heir its number, in one step: other threads can't take it.
        _ = try heir.duplicate(as: former)
        try kernel.close(heir)
        _ = try loop.attach({ recorder }, Socket(adopting: former, kernel: kernel))
      }
      loop.callSoon {
        try firstPeer.send("1")
        _ = try kernel.real.send(formerPeer, [1].span)
      }
      try await loop.until { recorder.kept != nil }
      try await loop.turn(3)
      #expect(!formerWasCalled)
      #expect(kernel.count(of: .receive) == 1, "the heir's socket was read although nothing arrived")
      #expect(recorder.calls == [.made])
      _ = try kernel.real.send(heirPeer, [2].span)
      try await loop.until { recorder.received == [2] }
      for recorder in [recorder, first] { recorder.transport.abort() }
      try await loop.until { recorder.isLost && first.isLost }
      try kernel.close(formerPeer)
      try kernel.close(heirPeer)
    }
  }

  @Test("connections that follow one another under one number get their own bytes only")
  func churn() throws {
    try runLoop { loop, kernel in
      var numbers: [Int32] = []
      for round in 0..<100 {
        let (recorder, peer) = try await PairKind.socketPair.transport(loop, kernel)
        numbers.append(recorder.transport.socket.descriptor.rawValue)
        try peer.send("round \(round)")
        try await loop.until { !recorder.received.isEmpty }
        #expect(recorder.text == "round \(round)")
        // Left behind unread: the next owner must not see it.
        try peer.send("rest")
        recorder.transport.abort()
        try await loop.until { recorder.isLost }
        peer.close()
      }
      #expect(Set(numbers).count < 100)
    }
  }

  @Test("a callback may stop the loop, start connections and cancel handles")
  func anything() throws {
    try withLoop { loop, kernel in
      let recorder = Recorder()
      var second: Recorder?
      var peers: [Peer] = []
      let never = loop.callLater(.seconds(20)) { Issue.record("a cancelled handle ran") }
      recorder.onData = { _ in
        never.cancel()
        loop.createTask {
          let (made, peer) = try await PairKind.tcp.transport(loop, kernel)
          peers.append(peer)
          second = made
          loop.stop()
        }
      }
      try loop.runUntilComplete {
        let (_, peer) = try await PairKind.socketPair.transport(loop, kernel, recorder)
        peers.append(peer)
      }
      loop.callSoon { try peers[0].send("go") }
      try loop.runForever()
      let made = try #require(second)
      recorder.onData = { _ in loop.stop() }
      try peers[0].send("stop")
      try loop.runForever()
      #expect(recorder.text == "gostop")
      try loop.runUntilComplete {
        try peers[1].send("goes on")
        try await loop.until { made.text == "goes on" }
        made.transport.abort()
        recorder.transport.abort()
        try await loop.until { made.isLost && recorder.isLost }
        for peer in peers { peer.close() }
      }
    }
  }

  @Test("a chatty peer starves neither another connection nor a timer nor a callback")
  func fairness() throws {
    try runLoop { loop, kernel in
      let (chatty, chattyPeer) = try await PairKind.socketPair.transport(loop, kernel)
      let (quiet, quietPeer) = try await PairKind.socketPair.transport(loop, kernel)
      kernel.limit(.receive, toBytes: 100)
      var (data, timer, callback) = (0, 0, 0)
      quiet.onData = { _ in data = chatty.chunkSizes.count }
      chatty.onData = { bytes in
        // There is always more.
        try chattyPeer.send(bytes)
        if chatty.chunkSizes.count == 20 {
          try quietPeer.send("now")
          loop.callLater(.zero) { timer = chatty.chunkSizes.count }
          loop.callSoon { callback = chatty.chunkSizes.count }
        }
        if chatty.chunkSizes.count == 200 { chatty.transport.close() }
      }
      try chattyPeer.send(pattern(1000))
      try await loop.until { chatty.isLost }
      #expect(20...22 ~= data)
      #expect(20...22 ~= timer)
      #expect(20...22 ~= callback)
      quiet.transport.close()
      try await loop.until { quiet.isLost }
    }
  }
}
