// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct BroadcastTests {
  /// What no compiler lets out of its region.
  private final class Local {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  @Test("every subscriber receives what is sent after it came, in order, and ends with the broadcast")
  func all() throws {
    try runLoop { loop, _ in
      let broadcast = Broadcast<Local>(loop, capacity: 4)
      #expect(broadcast.send(Local(0)) == 0)
      func listen() -> LoopTask<[Int]> {
        let subscription = broadcast.subscribe()
        return loop.createTask {
          var received: [Int] = []
          for try await message in subscription {
            #expect(message.missed == 0)
            received.append(message.element.number)
          }
          return received
        }
      }
      let first = listen()
      for number in 1...3 { #expect(broadcast.send(Local(number)) == 1) }
      let second = listen()
      for number in 4...6 {
        #expect(broadcast.send(Local(number)) == 2)
        try await loop.turn()
      }
      broadcast.shutdown()
      #expect(broadcast.send(Local(7)) == 0)
      #expect(try await first.value == [1, 2, 3, 4, 5, 6])
      #expect(try await second.value == [4, 5, 6])
      try await loop.until { broadcast.subscriberCount == 0 }
    }
  }

  @Test("a slow subscriber misses the oldest, and is told how many; the others miss none")
  func slow() throws {
    try runLoop { loop, _ in
      let broadcast = Broadcast<Int>(loop, capacity: 3)
      let (slow, quick) = (broadcast.subscribe(), broadcast.subscribe())
      for number in 1...8 {
        broadcast.send(number)
        #expect(quick.tryNext()?.element == number)
      }
      let message = try await slow.next()
      #expect(message?.element == 6 && message?.missed == 5)
      let next = slow.tryNext()
      #expect(next?.element == 7 && next?.missed == 0)
      for number in 9...10 { broadcast.send(number) }
      broadcast.shutdown()
      var rest: [Int] = []
      for try await message in slow {
        #expect(message.missed == 0)
        rest.append(message.element)
      }
      #expect(rest == [8, 9, 10] && slow.tryNext() == nil)
    }
  }

  @Test("what all have received, or nobody is to receive any more, is let go of")
  func memory() throws {
    try runLoop { loop, _ in
      var released = 0
      let broadcast = Broadcast<ReleaseProbe>(loop, capacity: 10)
      var slow: Broadcast<ReleaseProbe>.Subscription? = broadcast.subscribe()
      let quick = broadcast.subscribe()
      for _ in 0..<4 { broadcast.send(ReleaseProbe { released += 1 }) }
      for _ in 0..<4 { _ = quick.tryNext() }
      #expect(released == 0)
      _ = slow?.tryNext()
      #expect(released == 1)
      slow = nil
      #expect(released == 4 && broadcast.subscriberCount == 1)
    }
  }

  @Test("a subscription that is dropped on another thread leaves by the loop's")
  func droppedElsewhere() throws {
    try runLoop { loop, _ in
      let broadcast = Broadcast<Int>(loop, capacity: 1)
      let kept = HandOver<LoopBound<Broadcast<Int>.Subscription>>()
      kept.put(LoopBound(broadcast.subscribe()))
      #expect(broadcast.subscriberCount == 1)
      await TestThread { _ = kept.take() }.ended()
      try await loop.until { broadcast.subscriberCount == 0 }
      #expect(broadcast.send(1) == 0)
    }
  }
}

@Suite struct WatchTests {
  @Test("a subscriber sees the present value, then the newest whenever there is one, and the end")
  func newest() throws {
    try runLoop { loop, _ in
      let watch = Watch(loop, "a")
      let subscription = watch.subscribe()
      let task = loop.createTask {
        var seen: [String] = []
        for try await value in subscription { seen.append(value) }
        return seen
      }
      try await loop.turn()
      watch.value = "b"
      watch.value = "c"
      try await loop.turn()
      watch.value = "c"
      try await loop.turn()
      #expect(watch.value == "c")
      watch.value = "d"
      watch.shutdown()
      #expect(try await task.value == ["a", "c", "c", "d"])
      #expect(try await subscription.next() == nil)
    }
  }

  @Test("each subscriber has its own view of what has changed")
  func views() throws {
    try runLoop { loop, _ in
      let watch = Watch(loop, 1)
      let (a, b) = (watch.subscribe(), watch.subscribe())
      #expect(a.hasChanged && a.value == 1 && !a.hasChanged && b.hasChanged)
      watch.value += 1
      #expect(a.hasChanged)
      let value = try await a.next()
      #expect(value == 2 && !a.hasChanged && b.hasChanged && b.value == 2)
    }
  }

  @Test("wait(until:) returns the value for which the condition holds, or ends with the watch")
  func until() throws {
    try runLoop { loop, _ in
      let watch = Watch(loop, 0)
      let waiting = loop.createTask(eager: true) { try await watch.wait(until: { $0 > 2 }) }
      let forLonger = loop.createTask(eager: true) { try await watch.wait(until: { $0 > 5 }) }
      for _ in 0..<4 {
        #expect(!waiting.isDone)
        watch.value += 1
        if watch.value == 3 { break }
        try await loop.turn()
      }
      #expect(try await waiting.value == 3)
      try await watch.wait(until: { $0 == 3 })
      watch.shutdown()
      await #expect(throws: EventLoopError.queueShutDown) { try await forLonger.value }
      await #expect(throws: EventLoopError.queueShutDown) { try await watch.wait(until: { $0 == 9 }) }
    }
  }

  @Test("a value that calls back when it is let go of finds the newer one")
  func reentrant() throws {
    try runLoop { loop, _ in
      var seen: [Bool] = []
      let watch = Watch<ReleaseProbe?>(loop, nil)
      watch.value = ReleaseProbe { seen.append(watch.value.map { _ in false } ?? true) }
      watch.value = nil
      #expect(seen == [true])
    }
  }
}
