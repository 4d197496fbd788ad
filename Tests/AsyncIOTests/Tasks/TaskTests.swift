// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import AsyncIO

@Suite struct TaskTests {
  /// A default actor: nothing in it says where it runs.
  private actor Plain {
    var steps: [ThreadIdentity] = []
    func step() async throws -> [ThreadIdentity] {
      steps.append(.current)
      await Task.yield()
      steps.append(.current)
      try await Task.sleep(for: .microseconds(10))
      steps.append(.current)
      return steps
    }
  }

  /// An actor that lives on a loop.
  private actor Resident {
    nonisolated let executor: any SerialExecutor
    private var count = 0
    init(_ executor: any SerialExecutor) { self.executor = executor }
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func increment() async -> (Int, ThreadIdentity) {
      count += 1
      await Task.yield()
      assertIsolated()
      return (count, .current)
    }
  }

  @concurrent private static func hop() async -> ThreadIdentity { .current }

  @Test("tasks, children, groups, default actors and sleeps stay on the loop's thread")
  func staysOnThread() throws {
    try runLoop { loop, kernel in
      let home = ThreadIdentity.current
      var seen: [ThreadIdentity] = [.current]
      try await loop.createTask { seen.append(.current) }.value
      try await Task.sleep(for: .microseconds(10))
      seen.append(.current)
      await Task.yield()
      seen.append(.current)
      try await loop.sleep(for: .microseconds(10))
      seen.append(.current)
      async let first = TaskTests.identity()
      async let second = TaskTests.identity()
      seen += await [first, second]
      seen.append(await TaskTests.hop())
      seen += await withTaskGroup(of: ThreadIdentity.self) { group in
        for _ in 0..<10 {
          group.addTask {
            await Task.yield()
            return .current
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      seen += try await Plain().step()
      seen.append(.current)
      #expect(seen.count == 22)
      #expect(seen.allSatisfy { $0 == home })
    }
  }

  private static func identity() async -> ThreadIdentity {
    await Task.yield()
    return .current
  }

  @Test("an actor that chose the loop runs on its thread, whoever calls it")
  func residentActor() async throws {
    let home = OneShot<ThreadIdentity>()
    let made = OneShot<Resident>()
    let running = LoopThread { loop in
      home.set(.current)
      made.set(Resident(loop.actorExecutor))
    }
    let actor = made.wait()
    for number in 1...50 {
      let (count, thread) = await actor.increment()
      #expect(count == number)
      #expect(thread == home.wait())
    }
    let inside = try await running.remote.run { _ in await actor.increment() }
    #expect(inside.0 == 51 && inside.1 == home.wait())
    await running.end()
  }

  @Test("an executor that an actor may have chosen outlives its loop; one that nobody asked for goes with it")
  func survivingExecutor() throws {
    weak var chosen: AnyObject?
    weak var unused: AnyObject?
    try withLoop { loop, _ in chosen = loop.actorExecutor as AnyObject }
    try withLoop { loop, _ in unused = loop.serialExecutor }
    #expect(chosen != nil && unused == nil)
  }

  @Test("a task that another thread resumes comes back to the loop, which is woken")
  func resumedFromElsewhere() throws {
    try runLoop { loop, kernel in
      let home = ThreadIdentity.current
      for number in 0..<100 {
        let value = await withCheckedContinuation { continuation in
          _ = TestThread { continuation.resume(returning: number) }
        }
        #expect(value == number)
        #expect(ThreadIdentity.current == home)
      }
    }
  }

  @Test("tasks on several loops each stay on their own thread")
  func severalLoops() async throws {
    let loops = (0..<3).map { _ in LoopThread() }
    var homes: Set<UInt> = []
    for running in loops {
      let threads = try await running.remote.run { loop in
        var threads: [UInt] = []
        for _ in 0..<20 {
          threads.append(ThreadIdentity.current.number)
          try await Task.sleep(for: .microseconds(1))
          threads.append(try await loop.createTask { ThreadIdentity.current.number }.value)
        }
        return threads
      }
      #expect(Set(threads).count == 1)
      homes.formUnion(threads)
    }
    #expect(homes.count == 3)
    for running in loops { await running.end() }
  }

  @Test("a task begins in the next iteration, in order with callbacks, and bears its name")
  func beginsInOrder() throws {
    try withLoop { loop, kernel in
      var order: [String] = []
      loop.callSoon { order.append("callback 1") }
      let task = loop.createTask(name: "number two") { order.append(Task.name ?? "no name") }
      loop.callSoon { order.append("callback 3") }
      #expect(order == [])
      try loop.runUntilComplete(task)
      #expect(order == ["callback 1", "number two", "callback 3"])
    }
  }

  @Test("sleep(for: .zero) lets everything that is ready run once")
  func sleepZero() throws {
    try runLoop { loop, kernel in
      var ran: [Int] = []
      loop.callSoon {
        ran.append(1); loop.callSoon { ran.append(3) }
      }
      loop.createTask { ran.append(2) }
      try await loop.sleep(for: .zero)
      #expect(ran.prefix(2) == [1, 2])
      try await loop.sleep(for: .seconds(-5))
      #expect(ran == [1, 2, 3])
    }
  }

  @Test("Task.sleep is served by the loop's clock")
  func taskSleep() throws {
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    defer { loop.close() }
    try loop.runUntilComplete {
      let task = loop.createTask { try await Task.sleep(for: .seconds(3600)) }
      try await loop.sleep(for: .zero)
      kernel.advanceClock(by: .seconds(3601))
      try await task.value
      let start = loop.time
      try await Task.sleep(for: .milliseconds(3))
      #expect(start.duration(to: loop.time) >= .milliseconds(3))
    }
  }

  // MARK: Lost errors

  @Test("a failed task that nobody holds is reported, with its name and place")
  func abandonedFailure() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      let line: UInt = #line + 1
      loop.createTask(name: "lost") { throw TestError(number: 21) }
      try await loop.until { !errors.contexts.isEmpty }
      #expect(errors.contexts.count == 1)
      #expect(errors.contexts.first?.error as? TestError == TestError(number: 21))
      #expect(errors.contexts.first?.taskName == "lost")
      #expect(errors.contexts.first?.callSite?.line == line)
    }
  }

  @Test("a failed task that somebody awaits is not reported, then or later")
  func awaitedFailure() throws {
    let errors = ErrorCollector()
    try runLoop { loop, kernel in
      loop.setExceptionHandler { _, context in errors.contexts.append(context) }
      func failAndAwait() async {
        let task = loop.createTask { throw TestError(number: 22) }
        await #expect(throws: TestError(number: 22)) { try await task.value }
      }
      await failAndAwait()
      let early = loop.createTask {
        try await loop.sleep(for: .milliseconds(1))
        throw TestError(number: 23)
      }
      _ = try? await early.value
      try await loop.sleep(for: .zero)
      // Looks for lost errors once more.
      loop.createTask { throw TestError(number: 24) }
      try await loop.until { !errors.contexts.isEmpty }
    }
    #expect(errors.contexts.compactMap { ($0.error as? TestError)?.number } == [24])
  }

  @Test("a cancelled task is no failure")
  func cancelledTask() throws {
    try runLoop { loop, kernel in
      let errors = loop.collectErrors()
      do { loop.createTask { try await loop.sleep(for: .seconds(100)) }.cancel() }
      try await loop.until { loop.tasks.running.count == 1 }
      try await loop.sleep(for: .zero)
      #expect(errors.contexts.isEmpty)
    }
  }

  // MARK: Cancellation

  @Test("every await that is cancelled ends at once and leaves nothing behind")
  func cancellation() throws {
    try runLoop { loop, kernel in
      let future = Future<Int>(loop)
      let timersBefore = loop.core.timers.count
      let awaits: [() async throws -> Void] = [
        { try await loop.sleep(for: .seconds(1000)) },
        { try await loop.sleep(until: loop.time.advanced(by: .seconds(1000))) },
        { try await loop.sleep(for: .zero) },
        { _ = try await future.value },
        { try await loop.clock.sleep(for: .seconds(1000)) },
        { try await Task.sleep(for: .milliseconds(20)) },
      ]
      for (index, wait) in awaits.enumerated() {
        let released = Boxed(false)
        let task = loop.createTask { [probe = ReleaseProbe { released.value = true }] in
          try await wait()
          probe.touch()
        }
        // Before it has begun for even ones, while it waits for odd ones, and both in the end.
        task.cancel()
        await #expect(throws: CancellationError.self, "number \(index)") { try await task.value }
        let second = loop.createTask { try await wait() }
        loop.callSoon { second.cancel() }
        await #expect(throws: CancellationError.self, "number \(index)") { try await second.value }
        #expect(released.value)
      }
      #expect(!future.isDone)
      // Only Task.sleep's own may still be there.
      #expect(loop.core.timers.count - timersBefore <= 2)
    }
  }

  @Test("a cancelled sleep takes its timer with it")
  func cancelledTimer() throws {
    try runLoop { loop, kernel in
      #expect(loop.core.nextDeadline() == nil)
      let task = loop.createTask { try await loop.sleep(for: .seconds(10)) }
      try await loop.sleep(for: .zero)
      #expect(loop.core.nextDeadline() != nil)
      task.cancel()
      _ = await task.outcome
      #expect(loop.core.nextDeadline() == nil)
    }
  }

  @Test("a task that is cancelled from another thread ends on the loop")
  func cancelFromElsewhere() throws {
    try runLoop { loop, kernel in
      let home = ThreadIdentity.current
      for _ in 0..<50 {
        let task = loop.createTask {
          do { try await loop.sleep(for: .seconds(1000)) } catch {
            #expect(ThreadIdentity.current == home); throw error
          }
        }
        try await loop.sleep(for: .zero)
        let remote = task.remote
        _ = TestThread { remote.cancel() }
        await #expect(throws: CancellationError.self) { try await task.value }
      }
    }
  }

  @Test("a wait that has ended cannot be cancelled any more, and the other way round")
  func cancelAfterEnd() throws {
    try runLoop { loop, kernel in
      let future = Future<Int>(loop)
      let task = loop.createTask { try await future.value }
      try await loop.sleep(for: .zero)
      try future.setResult(5)
      // The task was woken, and has not run yet.
      task.cancel()
      #expect(try await task.value == 5)
      let other = Future<Int>(loop)
      let second = loop.createTask { try await other.value }
      try await loop.sleep(for: .zero)
      second.cancel()
      try other.setResult(6)
      await #expect(throws: CancellationError.self) { try await second.value }
    }
  }
}
