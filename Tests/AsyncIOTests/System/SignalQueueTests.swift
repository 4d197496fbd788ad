// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SignalQueueTests {
  private func withQueue(_ body: (SignalQueue) throws -> Void) throws {
    let counter = try LinuxKernel.shared.makeCounter()
    defer { try? counter.close() }
    try body(SignalQueue(counter: counter))
  }

  private func take(_ queue: SignalQueue) -> (numbers: [Int32], isMoreLeft: Bool) {
    var numbers: [Int32] = []
    let isMoreLeft = queue.take { numbers.append($0.rawValue) }
    return (numbers, isMoreLeft)
  }

  @Test("signals come out in the order in which they went in, also where the ring begins anew")
  func order() throws {
    try withQueue { queue in
      #expect(take(queue) == ([], false))
      // Seven at a time: the ring's end falls into the midst of a batch.
      for round in 0..<Int32(SignalQueue.capacity / 3) {
        let batch = (0..<7).map { (round * 7 + $0) % 64 + 1 }
        for number in batch { queue.push(number) }
        #expect(take(queue) == (batch, false))
      }
    }
  }

  @Test("each push tells the loop, by the counter")
  func counter() throws {
    try withQueue { queue in
      queue.push(5)
      var bytes: [UInt8] = Array(repeating: 0, count: 8)
      let count = try bytes.withUnsafeMutableBytes { try queue.counter.read(into: $0) }
      #expect(count == 8 && bytes.contains(1))
      #expect(throws: Errno.wouldBlock) { try bytes.withUnsafeMutableBytes { try queue.counter.read(into: $0) } }
    }
  }

  @Test("what finds the ring full is counted: nothing is lost, and the ring's own keep their order")
  func overflow() throws {
    try withQueue { queue in
      let pushed = (0..<SignalQueue.capacity + 500).map { Int32($0 % 64 + 1) }
      for number in pushed { queue.push(number) }
      let (numbers, isMoreLeft) = take(queue)
      #expect(!isMoreLeft)
      #expect(Array(numbers.prefix(SignalQueue.capacity)) == Array(pushed.prefix(SignalQueue.capacity)))
      #expect(numbers.sorted() == pushed.sorted())
      // And it is a ring again.
      for number: Int32 in [3, 1, 2] { queue.push(number) }
      #expect(take(queue) == ([3, 1, 2], false))
    }
  }

  @Test("a storm comes out in portions of at most twice the ring's size")
  func portions() throws {
    try withQueue { queue in
      let count = 10 * SignalQueue.capacity
      for number in 0..<count { queue.push(number % 2 == 0 ? 40 : 50) }
      var numbers: [Int32] = []
      var portions = 0
      while true {
        let (portion, isMoreLeft) = take(queue)
        #expect(portion.count <= 2 * SignalQueue.capacity)
        numbers += portion
        portions += 1
        if !isMoreLeft { break }
      }
      #expect(portions > 4)
      #expect(numbers.count == count)
      #expect(numbers.count { $0 == 40 } == count / 2)
    }
  }

  @Test("handlers on several threads and the loop don't lose a signal between them, and keep each thread's order")
  func threads() throws {
    try withQueue { queue in
      let perThread = 20_000
      let running = Shared(3)
      let threads = (0..<3).map { thread in
        TestThread {
          for index in 0..<perThread { queue.push(Int32(1 + thread * 20 + index % 20)) }
          running.withLock { $0 -= 1 }
        }
      }
      var counts: [Int32: Int] = [:]
      var total = 0
      while true {
        let areDone = running.current == 0
        let (numbers, isMoreLeft) = take(queue)
        for number in numbers { counts[number, default: 0] += 1 }
        total += numbers.count
        if areDone, !isMoreLeft { break }
      }
      for thread in threads { thread.join() }
      #expect(total == 3 * perThread)
      #expect(counts.count == 60 && counts.values.allSatisfy { $0 == perThread / 20 })
    }
  }

  @Test("threads that share a ring which is never full keep the order of each")
  func threadOrder() throws {
    try withQueue { queue in
      let threads = (0..<2).map { thread in
        // Together they fit.
        TestThread { for index in 0..<500 { queue.push(Int32(1 + thread * 32 + index % 32)) } }
      }
      for thread in threads { thread.join() }
      let (numbers, _) = take(queue)
      for thread in 0..<2 {
        let own = numbers.filter { ($0 - 1) / 32 == Int32(thread) }
        #expect(own == (0..<500).map { Int32(1 + thread * 32 + $0 % 32) })
      }
    }
  }
}
