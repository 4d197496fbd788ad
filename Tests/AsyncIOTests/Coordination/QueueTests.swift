// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct QueueTests {
  /// What no compiler lets out of its region.
  private final class Local {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  /// Equal by its priority, and told from its equals by its name.
  private struct Job: Comparable {
    let priority: Int
    let name: String
    static func < (a: Job, b: Job) -> Bool { a.priority < b.priority }
    static func == (a: Job, b: Job) -> Bool { a.priority == b.priority }
  }

  @Test("elements come out in the order in which they went in, and need not be sendable")
  func order() throws {
    try runLoop { loop, _ in
      let queue = Queue<Local>(loop)
      for number in 0..<5 { try await queue.put(Local(number)) }
      #expect(queue.count == 5 && !queue.isEmpty && !queue.isFull && queue.maxCount == nil)
      for number in 0..<5 { #expect(try await queue.get().number == number) }
      #expect(queue.isEmpty && queue.tryGet() == nil)
    }
  }

  @Test("a putter waits while it is full, and a getter while it is empty, each in its turn")
  func backPressure() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop, maxCount: 2)
      let puts = (0..<5).map { number in loop.createTask(eager: true) { try await queue.put(number) } }
      #expect(puts.map(\.isDone) == [true, true, false, false, false])
      #expect(queue.isFull && queue.count == 2 && queue.maxCount == 2 && !queue.tryPut(9))
      #expect(queue.tryGet() == 0)
      #expect(queue.isFull && !queue.tryPut(9), "the room is the third's, who waits")
      for number in 1..<5 { #expect(try await queue.get() == number) }
      for put in puts { try await put.value }
      let gets = (0..<3).map { _ in loop.createTask(eager: true) { try await queue.get() } }
      #expect(queue.tryPut(10) && queue.isEmpty && queue.tryGet() == nil, "the element is the first's, who waits")
      try await queue.put(11)
      try await queue.put(12)
      for (number, get) in gets.enumerated() { #expect(try await get.value == 10 + number) }
    }
  }

  @Test("optional elements: nothing is an element")
  func optionals() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int?>(loop)
      let get = loop.createTask(eager: true) { try await queue.get() }
      try await queue.put(nil)
      #expect(try await get.value == nil)
      #expect(queue.tryPut(nil) && queue.count == 1)
      queue.shutdown()
      var count = 0
      for try await element in queue {
        #expect(element == nil)
        count += 1
      }
      #expect(count == 1)
    }
  }

  @Test("a priority queue gives the least first, equals in the order in which they came")
  func priority() throws {
    try runLoop { loop, _ in
      let queue = PriorityQueue<Job>(loop, maxCount: 8)
      for (priority, name) in [(2, "a"), (1, "b"), (2, "c"), (1, "d"), (0, "e"), (2, "f"), (1, "g"), (2, "h")] {
        try await queue.put(Job(priority: priority, name: name))
      }
      let late = loop.createTask(eager: true) { try await queue.put(Job(priority: 0, name: "late")) }
      var names = ""
      for _ in 0..<9 { names += try await queue.get().name }
      #expect(names == "elatebdgacfh")
      try await late.value
    }
  }

  @Test("a LIFO queue gives the last first")
  func lifo() throws {
    try runLoop { loop, _ in
      let queue = LIFOQueue<Int>(loop, maxCount: 3)
      for number in 0..<3 { try await queue.put(number) }
      let late = loop.createTask(eager: true) { try await queue.put(3) }
      var taken: [Int] = []
      for _ in 0..<4 { taken.append(try await queue.get()) }
      #expect(taken == [2, 3, 1, 0])
      try await late.value
    }
  }

  @Test("join waits until the work on every element is done")
  func join() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop, maxCount: 1)
      try await queue.join()
      let puts = loop.createTask(eager: true) { for number in 0..<3 { try await queue.put(number) } }
      let joins = (0..<2).map { _ in loop.createTask(eager: true) { try await queue.join() } }
      joins[0].cancel()
      for _ in 0..<3 {
        _ = try await queue.get()
        try await loop.turn()
        #expect(!joins[1].isDone)
        if !puts.isDone { try await loop.turn() }
        queue.taskDone()
      }
      try await joins[1].value
      try await puts.value
      #expect(await joins[0].outcome.isCancellation)
    }
  }

  @Test("after a shutdown what is in is still taken, and then all ends; who waits is told")
  func shutdown() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop, maxCount: 2)
      let puts = (0..<3).map { number in loop.createTask(eager: true) { try await queue.put(number) } }
      queue.shutdown()
      #expect(queue.isShutDown)
      await #expect(throws: EventLoopError.queueShutDown) { try await puts[2].value }
      await #expect(throws: EventLoopError.queueShutDown) { try await queue.put(9) }
      #expect(!queue.tryPut(9))
      let first = try await queue.get()
      #expect(first == 0 && queue.tryGet() == 1 && queue.tryGet() == nil)
      let error = await loop.createTask { try await queue.get() }.outcome.failure
      #expect("\(error!)" == "Queue.get: the queue was shut down")
      let empty = Queue<Int>(loop)
      let get = loop.createTask(eager: true) { try await empty.get() }
      empty.shutdown()
      await #expect(throws: EventLoopError.queueShutDown) { try await get.value }
    }
  }

  @Test("an immediate shutdown drops what is in, which counts as done; what is at work does not")
  func immediateShutdown() throws {
    try runLoop { loop, _ in
      var released = 0
      let queue = Queue<ReleaseProbe>(loop)
      for _ in 0..<3 { try await queue.put(ReleaseProbe { released += 1 }) }
      _ = try await queue.get()
      #expect(released == 1)
      let join = loop.createTask(eager: true) { try await queue.join() }
      queue.shutdown(immediate: true)
      #expect(released == 3 && queue.isEmpty)
      try await loop.turn()
      #expect(!join.isDone, "one is at work")
      queue.taskDone()
      try await join.value
      await #expect(throws: EventLoopError.queueShutDown) { _ = try await queue.get() }
    }
  }

  @Test("elements that were called done before they were taken do not keep join waiting after an immediate shutdown")
  func doneTooEarly() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop)
      for number in 0..<3 { try await queue.put(number) }
      queue.taskDone()
      queue.taskDone()
      let join = loop.createTask(eager: true) { try await queue.join() }
      queue.shutdown(immediate: true)
      try await join.value
      try await queue.join()
    }
  }

  @Test("a task that was given an element before the shutdown has it", arguments: [false, true])
  func givenBeforeShutdown(immediate: Bool) throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop)
      let get = loop.createTask(eager: true) { try await queue.get() }
      #expect(queue.tryPut(5))
      queue.shutdown(immediate: immediate)
      #expect(try await get.value == 5)
      let full = Queue<Int>(loop, maxCount: 1)
      try await full.put(1)
      let put = loop.createTask(eager: true) { try await full.put(2) }
      #expect(full.tryGet() == 1)
      full.shutdown()
      try await put.value
      #expect(try await full.get() == 2)
    }
  }

  @Test("as a sequence it ends after the shutdown, once empty; several take turns")
  func sequence() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop, maxCount: 3)
      let consumers = (0..<3).map { _ in
        loop.createTask {
          var taken: [Int] = []
          for try await number in queue {
            taken.append(number)
            try await loop.turn(1)
          }
          return taken
        }
      }
      for number in 0..<30 { try await queue.put(number) }
      queue.shutdown()
      var all: [Int] = []
      for consumer in consumers {
        let taken = try await consumer.value
        #expect(taken == taken.sorted() && taken.count > 5)
        all += taken
      }
      #expect(all.sorted() == Array(0..<30))
    }
  }

  @Test("the element of a cancelled put is let go of at once, and is not in the queue")
  func cancelledPut() throws {
    try runLoop { loop, _ in
      var released = 0
      let queue = Queue<ReleaseProbe?>(loop, maxCount: 1)
      try await queue.put(nil)
      let put = loop.createTask(eager: true) { try await queue.put(ReleaseProbe { released += 1 }) }
      put.cancel()
      #expect(await put.outcome.isCancellation)
      #expect(released == 1)
      guard case .some(.none) = queue.tryGet() else { throw TestError() }
      #expect(queue.isEmpty)
    }
  }

  @Test("an element that calls back when it is let go of finds the queue whole")
  func reentrantElements() throws {
    try runLoop { loop, _ in
      let queue = Queue<ReleaseProbe>(loop)
      var counts: [Int] = []
      for _ in 0..<2 { try await queue.put(ReleaseProbe { counts.append(queue.count) }) }
      queue.shutdown(immediate: true)
      #expect(counts == [0, 0])
    }
  }
}
