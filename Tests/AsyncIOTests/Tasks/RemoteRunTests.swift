// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct RemoteRunTests {
  @Test("a remote run's value arrives, and its body runs on the loop's thread")
  func value() async throws {
    let running = LoopThread()
    let thread = try await running.remote.run { loop in
      #expect(EventLoop.running === loop)
      try await loop.sleep(for: .microseconds(10))
      return ThreadIdentity.current
    }
    let again = try await running.remote.run { _ in ThreadIdentity.current }
    #expect(thread == again)
    await running.end()
  }

  @Test("a remote run's error arrives, and is not reported")
  func error() async throws {
    let reported = Shared(0)
    let running = LoopThread { loop in loop.setExceptionHandler { _, _ in reported.withLock { $0 += 1 } } }
    await #expect(throws: TestError(number: 4)) {
      try await running.remote.run { _ in throw TestError(number: 4) }
    }
    await running.end()
    #expect(reported.current == 0)
  }

  @Test("cancelling the caller cancels the task on the loop", .timeLimit(.minutes(10)))
  func cancel() async throws {
    let running = LoopThread()
    let begun = OneShot<Bool>()
    let ended = OneShot<Bool>()
    let remote = running.remote
    let caller = Task {
      try await remote.run { loop in
        begun.set(true)
        defer { ended.set(Task.isCancelled) }
        try await loop.sleep(for: .seconds(1000))
      }
    }
    _ = await begun.arrived()
    caller.cancel()
    await #expect(throws: CancellationError.self) { try await caller.value }
    #expect(ended.current == true)
    await running.end()
  }

  @Test("a caller that is cancelled already starts a task that is cancelled already")
  func cancelledBefore() async throws {
    let running = LoopThread()
    let remote = running.remote
    let caller = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await remote.run { _ in Task.isCancelled }
    }
    #expect(try await caller.value)
    await running.end()
  }

  @Test("a run that has ended leaves nothing with the loop")
  func leavesNothing() async throws {
    let running = LoopThread()
    let before = try await running.remote.run { loop in loop.closeHooks.count }
    for _ in 0..<5 { try await running.remote.run { _ in } }
    let after = try await running.remote.run { loop in loop.closeHooks.count }
    #expect(before == after)
    await running.end()
  }

  @Test("a closed loop throws at once")
  func closed() async throws {
    let running = LoopThread()
    let remote = running.remote
    await running.end()
    await #expect(throws: EventLoopError.closed) { try await remote.run { _ in 1 } }
  }

  @Test("a loop that closes before it gets to the call, or while its task waits, says so")
  func closesMeanwhile() async throws {
    let running = LoopThread()
    let remote = running.remote
    let begun = OneShot<Bool>()
    let waiting = Task {
      try await remote.run { loop in
        begun.set(true)
        try await Future<Void>(loop).value
      }
    }
    _ = await begun.arrived()
    // Behind the stop: the run ends before the loop gets there.
    try await remote.run { loop in loop.stop() }
    let late = Task { try await remote.run { _ in 1 } }
    await running.end()
    await #expect(throws: EventLoopError.closed) { try await waiting.value }
    do {
      // Whether it came before the stop is up to the threads.
      #expect(try await late.value == 1)
    } catch {
      #expect(error as? EventLoopError == .closed)
    }
  }

  @Test("a call that a loop never gets to ends with its close", arguments: [false, true])
  func neverReached(_ admitted: Bool) async throws {
    let loop = try EventLoop(kernel: TestKernel())
    let remote = loop.remote
    let caller = Task { try await remote.run { _ in 1 } }
    while !loop.core.mailbox.mayHaveMessages { await Task.yield() }
    if admitted {
      // The run takes the call into its queue, behind the stop.
      loop.stop()
      let late = Task { try await remote.run { _ in 2 } }
      while !loop.core.mailbox.mayHaveMessages { await Task.yield() }
      runOnce(loop)
      closeNow(loop)
      await #expect(throws: EventLoopError.closed) { try await late.value }
    } else {
      closeNow(loop)
    }
    await #expect(throws: EventLoopError.closed) { try await caller.value }
  }

  /// One run, which ends at the stop that was asked for before.
  private func runOnce(_ loop: EventLoop) { try? loop.runForever() }

  /// Closes the loop without waiting for anything, which only code that is not async can.
  private func closeNow(_ loop: EventLoop) { loop.close() }

  @Test("a hundred callers at once each get their own answer")
  func manyCallers() async throws {
    let running = LoopThread()
    let remote = running.remote
    let answers = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
      for number in 0..<100 {
        group.addTask {
          let answer = try await remote.run { loop in
            try await loop.sleep(for: .microseconds(number % 7))
            return number * 2
          }
          return (number, answer)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(answers.count == 100)
    for (number, answer) in answers { #expect(answer == number * 2) }
    await running.end()
  }
}
