// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// A loop on a thread of its own, for async callers.
@Suite struct RunOnThreadTests {
  @Test("the result is handed back, and so is the error")
  func outcomes() async throws {
    let sum = try await EventLoop.runOnThread { loop in
      try await loop.createTask { 40 }.value + 2
    }
    #expect(sum == 42)
    await #expect(throws: Errno.noMemory) {
      try await EventLoop.runOnThread { _ in throw Errno.noMemory }
    }
  }

  @Test("more programs than Swift has threads wait for plain tasks at once")
  func plainTasks() async throws {
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<16 {
        group.addTask {
          try await EventLoop.runOnThread { loop in
            try await loop.sleep(for: .milliseconds(1))
            return await Task { number }.value
          }
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(sum == 120)
  }

  @Test("the program has a thread to itself, never the caller's or the main one, and none of the process's work")
  func ownThread() async throws {
    let (isMain, isOnLoop) = try await EventLoop.runOnThread { _ in
      let home = ThreadIdentity.current
      let isOnLoop = await Task.detached { ThreadIdentity.current == home }.value
      return (ThreadIdentity.isMain, isOnLoop)
    }
    #expect(!isMain && !isOnLoop)
  }

  @Test(
    "cancelling the caller cancels the program, before it begins or while it runs", .timeLimit(.minutes(10)),
    arguments: [false, true])
  func cancelled(waits: Bool) async throws {
    let (started, start) = AsyncStream<Void>.makeStream()
    let caller = Task {
      try await EventLoop.runOnThread { loop in
        start.yield()
        try await loop.sleep(for: .seconds(1000))
      }
    }
    if waits { for await _ in started { break } }
    caller.cancel()
    await #expect(throws: CancellationError.self) { try await caller.value }
  }

  @Test("what the program leaves is cancelled and awaited before its end is told")
  func leavesNothing() async throws {
    let ended = Shared(false)
    try await EventLoop.runOnThread { loop in
      loop.createTask {
        do { try await loop.sleep(for: .seconds(1000)) } catch { ended.withLock { $0 = true } }
      }
      try await loop.sleep(for: .zero)
    }
    #expect(ended.current)
  }

  @Test("debug mode is the configuration's")
  func configuration() async throws {
    var configuration = EventLoop.Configuration()
    configuration.debug = true
    #expect(try await EventLoop.runOnThread(configuration) { $0.debug })
  }
}
