// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Foundation
import Testing

@Suite struct TestTimeTests {
  @Test("advance returns when all that is due by then has happened, at that very moment too, and nothing later")
  func advance() async throws {
    let seen = try await withTestLoop { loop in
      var seen: [String] = []
      let later = loop.callLater(.seconds(5) + .nanoseconds(1)) { seen.append("later") }
      loop.callLater(.seconds(2)) { seen.append("before") }
      // It is set after the advance began, for the same moment, and has something follow from it.
      loop.callSoon { loop.callLater(.seconds(5)) { loop.callSoon { seen.append("then") } } }
      try await loop.advance(by: .seconds(5))
      later.cancel()
      return seen
    }
    #expect(seen == ["before", "then"])
  }

  @Test("waitAllTasksBlocked lets everything else come as far as it can, and no time pass")
  func blocked() async throws {
    try await withTestLoop { loop in
      let begin = loop.time
      var steps = 0
      let gate = Event(loop)
      let task = loop.createTask {
        for _ in 0..<50 {
          try await loop.sleep(for: .zero)
          steps += 1
        }
        try await gate.wait()
        steps += 1
      }
      try await loop.waitAllTasksBlocked()
      #expect(steps == 50)
      gate.set()
      try await loop.waitAllTasksBlocked()
      #expect(steps == 51)
      #expect(loop.time == begin)
      try await task.value
    }
  }

  @Test("runUntilIdle lets time pass until nothing is to happen, or the limit is over")
  func untilIdle() async throws {
    try await withTestLoop { loop in
      let begin = loop.time
      var last: Duration?
      loop.callLater(.seconds(100)) {
        loop.callLater(.seconds(100)) { last = begin.duration(to: loop.time) }
      }
      let isIdle = try await loop.runUntilIdle()
      #expect(isIdle)
      #expect(last == .seconds(200))
      let distant = loop.callLater(.seconds(1000)) {}
      let isIdleSoon = try await loop.runUntilIdle(limit: .seconds(10))
      #expect(!isIdleSoon)
      #expect(begin.duration(to: loop.time) == .seconds(200))
      distant.cancel()
    }
  }

  @Test("A connection that was made leaves nothing behind that is still to happen")
  func idleAfterConnecting() async throws {
    try await withTestLoop { loop in
      let server = try await loop.startServer(host: "localhost", port: 80) { _, _ in }
      let (reader, writer) = try await loop.openConnection(host: "localhost", port: 80)
      _ = try await reader.read()
      writer.close()
      server.close()
      let begin = loop.time
      #expect(try await loop.runUntilIdle())
      #expect(begin.duration(to: loop.time) == .zero)
    }
  }

  @Test("Work for an executor is done between callbacks, while no time passes")
  func executor() async throws {
    try await withTestLoop { loop in
      let begin = loop.time
      let answer = try await loop.runInExecutor { 6 * 7 }
      #expect(answer == 42)
      await #expect(throws: IOError.self) {
        try await loop.runInExecutor { throw IOError(.noSpace, "write") }
      }
      #expect(loop.time == begin)
    }
  }

  @Test("What another thread of the program's does in real time is waited for before time passes")
  func otherThread() async throws {
    try await withTestLoop { loop in
      let begin = loop.time
      for _ in 0..<20 {
        // A thread of its own, since Swift's may all be in tests that block them.
        let value = try await loop.withTimeout(.seconds(1)) {
          await withCheckedContinuation { answer in Thread.detachNewThread { answer.resume(returning: 42) } }
        }
        #expect(value == 42)
      }
      // Unless the machine is so busy that a thread does not come for a second, which it may be once or twice.
      #expect(begin.duration(to: loop.time) < .seconds(10))
    }
  }

  @Test("Of several threads each is waited for, also when another one has answered")
  func otherThreads() async throws {
    try await withTestLoop { loop in
      let tasks = [0, 0.05].map { delay in
        loop.createTask {
          try await loop.withTimeout(.seconds(1)) {
            await withCheckedContinuation { answer in
              Thread.detachNewThread {
                Thread.sleep(forTimeInterval: delay)
                answer.resume(returning: 42)
              }
            }
          }
        }
      }
      for task in tasks {
        let value = try await task.value
        #expect(value == 42)
      }
    }
  }

  @Test("An actor of the program's has its turns on the loop's thread")
  func actor() async throws {
    try await withTestLoop { loop in
      let counter = Counter()
      let begin = loop.time
      let value = try await loop.withTimeout(.seconds(1)) { await counter.next() }
      #expect(value == 1)
      #expect(loop.time == begin)
    }
  }

  @Test("Tests run beside one another, each in a time of its own")
  func parallel() async throws {
    let ends = try await withThrowingTaskGroup(of: Duration.self) { group in
      for number in 1...20 {
        group.addTask {
          try await withTestLoop { loop in
            let begin = loop.time
            for _ in 0..<number { try await loop.sleep(for: .seconds(60)) }
            return begin.duration(to: loop.time)
          }
        }
      }
      return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    #expect(ends == Set((1...20).map { Duration.seconds(60 * $0) }))
  }

  @Test("Cancelling the caller cancels the test")
  func cancellation() async throws {
    let task = Task {
      try await withTestLoop { loop in
        // Far from over when the cancellation comes, in real time too.
        while true { try await loop.sleep(for: .seconds(1)) }
      }
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}

private actor Counter {
  private var value = 0
  func next() -> Int {
    value += 1
    return value
  }
}
