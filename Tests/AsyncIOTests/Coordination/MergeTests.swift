// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct MergeTests {
  /// Counts up without waiting, says how often it was asked, and fails or waits for ever at the end.
  private struct Numbers: AsyncSequence, AsyncIteratorProtocol {
    var numbers: [Int]
    let asked: Boxed<Int>
    var end: (() async throws -> Void)?

    init(_ numbers: some Sequence<Int>, asked: Boxed<Int> = Boxed(0), end: (() async throws -> Void)? = nil) {
      self.numbers = Array(numbers)
      self.asked = asked
      self.end = end
    }

    mutating func next() async throws -> Int? {
      asked.value += 1
      if numbers.isEmpty {
        try await end?()
        return nil
      }
      return numbers.removeFirst()
    }

    mutating func next(isolation actor: isolated (any Actor)?) async throws -> Int? { try await next() }
    func makeAsyncIterator() -> Numbers { self }
  }

  @Test("elements come as they arrive, each source's in its order, and it ends when all have")
  func arrivals() throws {
    try runLoop { loop, _ in
      let (a, b) = (Queue<String>(loop), Queue<String>(loop))
      let merged = loop.merge(a, b)
      let task = loop.createTask {
        var text = ""
        for try await piece in merged { text += piece }
        return text
      }
      for (queue, piece) in [(a, "1"), (b, "2"), (b, "3"), (a, "4")] {
        try await queue.put(piece)
        try await loop.turn(5)
      }
      a.shutdown()
      try await b.put("5")
      try await loop.turn(5)
      #expect(!task.isDone)
      b.shutdown()
      #expect(try await task.value == "12345")
    }
  }

  @Test("two, three, four, any number of sources, and none")
  func forms() throws {
    try runLoop { loop, _ in
      func sorted(_ merged: Merged<Int>) async throws -> [Int] {
        var all: [Int] = []
        for try await number in merged { all.append(number) }
        return all.sorted()
      }
      let three = try await sorted(loop.merge(Numbers(0..<3), Numbers(3..<5), Numbers(5..<6)))
      #expect(three == Array(0..<6))
      let four = try await sorted(loop.merge(Numbers(0..<3), Numbers([]), Numbers(3..<4), Numbers(4..<9)))
      #expect(four == Array(0..<9))
      let many = try await sorted(loop.merge((0..<20).map { Numbers($0 * 3..<$0 * 3 + 3) }))
      #expect(many == Array(0..<60))
      let none = try await sorted(loop.merge([Numbers]()))
      #expect(none == [])
    }
  }

  @Test("a source is not asked for its next element before its last was taken, nor before anybody asks")
  func backPressure() throws {
    try runLoop { loop, _ in
      let (a, b) = (Boxed(0), Boxed(0))
      let merged = loop.merge(Numbers(0..<100, asked: a), Numbers(100..<200, asked: b))
      var iterator = merged.makeAsyncIterator()
      try await loop.turn()
      #expect(a.value == 0 && b.value == 0)
      var (fromA, fromB) = (0, 0)
      for _ in 0..<50 {
        let number = try await iterator.next()
        if number! < 100 { fromA += 1 } else { fromB += 1 }
        try await loop.turn(4)
        #expect(a.value <= fromA + 1 && b.value <= fromB + 1)
      }
      #expect(abs(fromA - fromB) <= 2, "they take turns")
    }
  }

  @Test("an error comes behind what came before it; then the other sources have been cancelled, and have ended")
  func failure() throws {
    try runLoop { loop, _ in
      var otherEnded = false
      let failing = Numbers(0..<2) { throw TestError(number: 3) }
      let other = Numbers(10..<11) {
        defer { otherEnded = true }
        try await loop.sleep(for: .seconds(1000))
      }
      var iterator = loop.merge(failing, other).makeAsyncIterator()
      var taken: [Int] = []
      do {
        while let number = try await iterator.next() {
          taken.append(number)
          try await loop.turn(4)
        }
        Issue.record("it ended without an error")
      } catch {
        #expect(error as? TestError == TestError(number: 3))
      }
      #expect(otherEnded && taken.sorted() == [0, 1, 10])
      let after = try await iterator.next()
      #expect(after == nil)
    }
  }

  @Test("cancelling who takes cancels the sources, which have ended when that is thrown")
  func cancelled() throws {
    try runLoop { loop, _ in
      var ended = 0
      func source() -> Numbers {
        Numbers([]) {
          defer { ended += 1 }
          do { try await loop.sleep(for: .seconds(1000)) } catch {
            // It takes its time, which nothing interrupts any more but itself.
            await loop.createTask { try? await loop.turn(5) }.waitRegardless()
            throw error
          }
        }
      }
      let merged = loop.merge(source(), source())
      let task = loop.createTask {
        do { for try await _ in merged {} } catch {
          #expect(ended == 2)
          throw error
        }
      }
      try await loop.turn(5)
      task.cancel()
      #expect(await task.outcome.isCancellation)
    }
  }

  @Test("whoever stops taking cancels the sources")
  func abandoned() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop)
      let endless = Numbers(0..<1) { try await loop.sleep(for: .seconds(1000)) }
      for try await number in loop.merge(queue, endless) {
        #expect(number == 0)
        break
      }
      try await loop.until { loop.allTasks.count == 1 }
      try await queue.put(1)
      #expect(queue.count == 1, "nobody waits for it")
    }
  }

  @Test("a source's task that others cancel is no clean end")
  func cancelledSource() throws {
    try runLoop { loop, _ in
      let queue = Queue<Int>(loop)
      let merged = loop.merge([queue])
      let task = loop.createTask { for try await _ in merged { try await loop.turn(20) } }
      try await queue.put(1)
      try await loop.turn(6)
      loop.allTasks.first { $0.name == "merge" }?.cancel()
      #expect(await task.outcome.isCancellation)
    }
  }

  @Test("on a closed loop it throws")
  func closed() async throws {
    let loop = try EventLoop(kernel: TestKernel())
    let merged = loop.merge([Numbers(0..<3)])
    closeNow(loop)
    var iterator = merged.makeAsyncIterator()
    await #expect(throws: EventLoopError.closed) { _ = try await iterator.next() }
  }

  private func closeNow(_ loop: EventLoop) { loop.close() }
}
