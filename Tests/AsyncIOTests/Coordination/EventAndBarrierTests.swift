// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct EventTests {
  @Test("set wakes all, in order; who comes while it is set does not wait; clear makes them wait again")
  func event() throws {
    try runLoop { loop, _ in
      let event = Event(loop)
      var order: [Int] = []
      let tasks = (0..<4).map { number in
        loop.createTask(eager: true) {
          try await event.wait()
          order.append(number)
        }
      }
      #expect(!event.isSet && order == [])
      event.set()
      event.set()
      for task in tasks { try await task.value }
      #expect(event.isSet && order == [0, 1, 2, 3])
      #expect(loop.createTask(eager: true) { try await event.wait() }.isDone)
      event.clear()
      #expect(!event.isSet)
      let late = loop.createTask(eager: true) { try await event.wait() }
      try await loop.turn()
      #expect(!late.isDone)
      event.set()
      try await late.value
    }
  }

  @Test("set and clear in one tick wake those that waited before")
  func pulse() throws {
    try runLoop { loop, _ in
      let event = Event(loop)
      let before = loop.createTask(eager: true) { try await event.wait() }
      event.set()
      event.clear()
      let after = loop.createTask(eager: true) { try await event.wait() }
      try await before.value
      try await loop.turn()
      #expect(!after.isDone)
      after.cancel()
      #expect(await after.outcome.isCancellation)
    }
  }
}

@Suite struct BarrierTests {
  @Test("all pass when the last has come, each with its place; the next round begins at once")
  func rounds() throws {
    try runLoop { loop, _ in
      let barrier = Barrier(loop, parties: 3)
      let tasks = (0..<8).map { _ in loop.createTask(eager: true) { try await barrier.wait() } }
      #expect(barrier.waitingCount == 2 && barrier.parties == 3)
      var places: [Int] = []
      for task in tasks.prefix(6) { places.append(try await task.value) }
      #expect(places == [0, 1, 2, 0, 1, 2])
      #expect(!tasks[6].isDone && !tasks[7].isDone)
      for task in tasks.suffix(2) { task.cancel() }
      for task in tasks.suffix(2) { #expect(await task.outcome.isCancellation) }
      #expect(barrier.waitingCount == 0 && !barrier.isBroken)
      let alone = Barrier(loop, parties: 1)
      #expect(try await alone.wait() == 0)
    }
  }

  @Test("one that was cancelled counts no longer, and the places of the others are without gaps")
  func cancelled() throws {
    try runLoop { loop, _ in
      let barrier = Barrier(loop, parties: 3)
      func wait() -> LoopTask<Int> { loop.createTask(eager: true) { try await barrier.wait() } }
      let (a, b) = (wait(), wait())
      a.cancel()
      #expect(barrier.waitingCount == 1)
      let c = wait()
      #expect(barrier.waitingCount == 2)
      let d = wait()
      // They were let through: too late.
      b.cancel()
      #expect(await a.outcome.isCancellation)
      let places = [try await b.value, try await c.value, try await d.value]
      #expect(places == [0, 1, 2])
    }
  }

  @Test("abort breaks it for those that wait and those that come; reset ends the round and mends it")
  func broken() throws {
    try runLoop { loop, _ in
      let barrier = Barrier(loop, parties: 2)
      let first = loop.createTask(eager: true) { try await barrier.wait() }
      barrier.abort()
      await #expect(throws: EventLoopError.brokenBarrier) { try await first.value }
      #expect(barrier.isBroken && barrier.waitingCount == 0)
      await #expect(throws: EventLoopError.brokenBarrier) { try await barrier.wait() }
      barrier.reset()
      #expect(!barrier.isBroken)
      let second = loop.createTask(eager: true) { try await barrier.wait() }
      barrier.reset()
      let error = await second.outcome.failure
      #expect("\(error!)" == "Barrier.wait: the barrier was reset" && !barrier.isBroken)
      let third = loop.createTask(eager: true) { try await barrier.wait() }
      let places = [try await barrier.wait(), try await third.value]
      #expect(places == [1, 0])
    }
  }
}
