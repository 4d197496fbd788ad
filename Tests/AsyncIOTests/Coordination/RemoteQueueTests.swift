// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct RemoteQueueTests {
  private func makeQueue(_ running: LoopThread, maxCount: Int?) async throws -> RemoteQueue<Int> {
    try await running.remote.run { loop in Queue<Int>(loop, maxCount: maxCount).remote }
  }

  @Test("elements go in and come out from other threads, in order, and the sequence ends with the queue")
  func order() async throws {
    let running = LoopThread()
    let queue = try await makeQueue(running, maxCount: 3)
    let producer = Task {
      for number in 0..<100 { try await queue.put(number) }
      try await queue.shutdown()
    }
    var taken: [Int] = []
    for try await number in queue { taken.append(number) }
    #expect(taken == Array(0..<100))
    try await producer.value
    await #expect(throws: EventLoopError.queueShutDown) { try await queue.put(1) }
    await #expect(throws: EventLoopError.queueShutDown) { try await queue.get() }
    await running.end()
  }

  @Test("a stream on another thread feeds a queue, and the loop's tasks drain it")
  func stream() async throws {
    let running = LoopThread()
    let (stream, continuation) = AsyncStream<Int>.makeStream()
    let queues = OneShot<RemoteQueue<Int>>()
    let sum = Task {
      try await running.remote.run { loop in
        let queue = Queue<Int>(loop, maxCount: 2)
        queues.set(queue.remote)
        var sum = 0
        for try await number in queue { sum += number }
        return sum
      }
    }
    let queue = await queues.arrived()
    let feeder = Task {
      for await number in stream { try await queue.put(number) }
      try await queue.shutdown()
    }
    for number in 1...50 { continuation.yield(number) }
    continuation.finish()
    try await feeder.value
    #expect(try await sum.value == 1275)
    await running.end()
  }

  @Test("a producer on another thread is held back while the queue is full")
  func backPressure() async throws {
    let running = LoopThread()
    let queue = try await makeQueue(running, maxCount: 2)
    let returned = Shared(0)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for producer in 0..<3 {
        group.addTask {
          for number in 0..<20 {
            try await queue.put(producer * 100 + number)
            returned.withLock { $0 += 1 }
          }
        }
      }
      for taken in 0..<60 {
        #expect(returned.current <= taken + 2)
        _ = try await queue.get()
      }
      try await group.waitForAll()
    }
    await running.end()
  }

  @Test("a cancelled put has put nothing, a cancelled get has taken nothing")
  func cancelled() async throws {
    let running = LoopThread()
    let queue = try await makeQueue(running, maxCount: 1)
    try await queue.put(0)
    let put = Task { try await queue.put(1) }
    // Behind it on the loop, so that it waits by now, or has not got there.
    try await running.remote.run { loop in try await loop.turn() }
    put.cancel()
    await #expect(throws: CancellationError.self) { try await put.value }
    #expect(try await queue.get() == 0)
    let get = Task { try await queue.get() }
    try await running.remote.run { loop in try await loop.turn() }
    get.cancel()
    await #expect(throws: CancellationError.self) { try await get.value }
    try await queue.put(2)
    #expect(try await queue.get() == 2)
    let early = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await queue.put(3)
    }
    await #expect(throws: CancellationError.self) { try await early.value }
    try await queue.put(4)
    #expect(try await queue.get() == 4)
    await running.end()
  }

  @Test("however calls are cancelled from all sides, what was put is taken once, and nothing else")
  func nothingIsLost() async throws {
    let running = LoopThread()
    let queue = try await makeQueue(running, maxCount: 3)
    let (put, taken) = (Shared<[Int]>([]), Shared<[Int]>([]))
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<300 {
        group.addTask {
          let call = Task {
            try await queue.put(number)
            put.withLock { $0.append(number) }
          }
          if number % 3 == 0 { call.cancel() }
          if number % 3 == 1 {
            for _ in 0..<number % 7 { await Task.yield() }
            call.cancel()
          }
          _ = await call.result
        }
        group.addTask {
          let call = Task {
            let element = try await queue.get()
            taken.withLock { $0.append(element) }
          }
          for _ in 0..<number % 11 { await Task.yield() }
          if number % 2 == 0 { call.cancel() }
          // One that finds nothing any more is let go at the end.
          if number % 2 == 1, number > 150 { call.cancel() }
          _ = await call.result
        }
      }
      // Whoever still waits is served, or told.
      group.addTask {
        for _ in 0..<50 { await Task.yield() }
        try? await queue.shutdown()
      }
    }
    for try await element in queue { taken.withLock { $0.append(element) } }
    #expect(taken.current.sorted() == put.current.sorted())
    await running.end()
  }

  @Test("a loop that is closed, or closes meanwhile, says so")
  func closed() async throws {
    let running = LoopThread()
    let queue = try await makeQueue(running, maxCount: 1)
    try await queue.put(1)
    let put = Task { try await queue.put(2) }
    try await running.remote.run { loop in try await loop.turn() }
    await running.end()
    await #expect(throws: EventLoopError.closed) { try await put.value }
    await #expect(throws: EventLoopError.closed) { try await queue.put(3) }
    await #expect(throws: EventLoopError.closed) { try await queue.get() }
    await #expect(throws: EventLoopError.closed) { try await queue.shutdown() }
    await #expect(throws: EventLoopError.closed) { for try await _ in queue {} }
  }

  /// Says on which thread it went.
  private final class Mark: Sendable {
    let told: OneShot<ThreadIdentity>
    init(_ told: OneShot<ThreadIdentity>) { self.told = told }
    deinit { told.set(ThreadIdentity.current) }
  }

  @Test("a queue whose last reference is dropped elsewhere goes on its loop's thread")
  func release() async throws {
    let running = LoopThread()
    let told = OneShot<ThreadIdentity>()
    let thread = try await running.remote.run { _ in ThreadIdentity.current }
    var queue: RemoteQueue<Mark>? = try await running.remote.run { loop in
      let queue = Queue<Mark>(loop)
      try await queue.put(Mark(told))
      return queue.remote
    }
    #expect(queue != nil)
    queue = nil
    #expect(await told.arrived() == thread)
    await running.end()
  }
}
