// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

extension CancellationTests {
  static let long = Duration.seconds(1000)

  /// What waits for a future that is set in the end, and lets go of it or not.
  private static func waiting(
    _ name: String, isShielded: Bool = false,
    _ call: @escaping @Sendable (EventLoop, Future<Int>) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let future = Future<Int>(loop)
      return PreparedCall(
        call: { try await call(loop, future) }, complete: { try future.setResult(1) }, isShielded: isShielded,
        check: { end in #expect(future.isDone == end.isComplete && !future.isCancelled) })
    }
  }

  /// What waits for a task that goes on.
  private static func leaving(
    _ name: String, _ call: @escaping @Sendable (EventLoop, LoopTask<Int>) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let future = Future<Int>(loop)
      let task = loop.createTask { try await future.value }
      return PreparedCall(
        call: { try await call(loop, task) }, complete: { try future.setResult(1) },
        check: { end in
          if !end.isComplete {
            #expect(!task.isDone)
            try future.setResult(1)
          }
          #expect(try await task.value == 1)
        })
    }
  }

  /// What waits on the loop's clock.
  private static func sleeping(_ name: String, _ call: @escaping @Sendable (EventLoop) async throws -> Void)
    -> AwaitedCall
  {
    AwaitedCall(name) { loop, kernel in
      PreparedCall(call: { try await call(loop) }, complete: { kernel.advanceClock(by: long) })
    }
  }

  /// What waits for another loop.
  private static func elsewhere(
    _ name: String, _ call: @escaping @Sendable (LoopThread) async throws -> @Sendable () async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { _, _ in
      let other = LoopThread()
      let call = try await call(other)
      return PreparedCall(
        call: { try await call() },
        complete: {
          other.kernel.advanceClock(by: long)
          // It sleeps by the time that was.
          try await other.remote.run { _ in }
        },
        check: { _ in
          // The task that asks is one.
          let count = try await other.remote.run { $0.allTasks.count }
          #expect(count == 1)
          await other.end()
        })
    }
  }

  static let taskCalls: [AwaitedCall] = [
    sleeping("EventLoop.sleep (for)") { try await $0.sleep(for: long) },
    sleeping("EventLoop.sleep (until)") { try await $0.sleep(until: $0.time.advanced(by: long)) },
    sleeping("EventLoop.sleep (of the clock)") { try await $0.clock.sleep(for: long) },
    sleeping("Ticker.next") { for try await _ in $0.every(long) { break } },
    waiting("Future.value") { _, future in _ = try await future.value },
    waiting("Future.outcome") { _, future in _ = try await future.outcome.get() },
    waiting("Future.value (a task's)") { loop, future in
      let task = loop.createTask { try await future.value }
      defer { #expect(task.isDone) }
      _ = try await task.value
    },
    waiting("Future.outcome (a task's)") { loop, future in
      let task = loop.createTask { try await future.value }
      defer { #expect(task.isDone) }
      _ = try await task.outcome.get()
    },
    leaving("EventLoop.shield") { loop, task in _ = try await loop.shield(task) },
    leaving("EventLoop.shield (a closure)") { loop, task in
      _ = try await loop.shield { try await task.value }
    },
    leaving("EventLoop.wait") { loop, task in _ = try await loop.wait(for: [task]) },
    leaving("EventLoop.wait (a time)") { loop, task in _ = try await loop.wait(for: [task], timeout: long) },
    leaving("EventLoop.next") { loop, task in for try await _ in loop.asCompleted([task]) { break } },
    waiting("EventLoop.withCancellationShield", isShielded: true) { loop, future in
      _ = try await loop.withCancellationShield { try await future.value }
    },
    waiting("EventLoop.gather") { loop, future in _ = try await loop.gather({ try await future.value }, { 2 }) },
    waiting("EventLoop.gather (a sequence)") { loop, future in
      _ = try await loop.gather([1]) { _ in try await future.value }
    },
    waiting("EventLoop.gather (tasks)") { loop, future in
      let tasks = [loop.createTask { try await future.value }]
      defer { #expect(tasks[0].isDone) }
      _ = try await loop.gather(tasks)
    },
    waiting("EventLoop.gatherResults") { loop, future in
      _ = try await loop.gatherResults([1]) { _ in try await future.value }
    },
    waiting("EventLoop.withLoopTaskGroup") { loop, future in
      try await loop.withLoopTaskGroup { group in _ = group.createTask { try await future.value } }
    },
    waiting("LoopTaskGroup.next") { loop, future in
      try await loop.withLoopTaskGroup { group in
        group.createTask { try await future.value }
        for try await _ in group {}
      }
    },
    waiting("EventLoop.withTimeout") { loop, future in
      _ = try await loop.withTimeout(long) { try await future.value }
    },
    waiting("EventLoop.withDeadline") { loop, future in
      _ = try await loop.withDeadline(loop.time.advanced(by: long)) { _ in try await future.value }
    },
    elsewhere("RemoteLoop.run") { other in
      { try await other.remote.run { try await $0.sleep(for: long) } }
    },
    elsewhere("RemoteTask.value") { other in
      let task = try await other.remote.run { loop in loop.createTask { try await loop.sleep(for: long) }.remote }
      return {
        do { try await task.value } catch {
          task.cancel()
          throw error
        }
      }
    },
    AwaitedCall("EventLoop.runOnThread") { _, _ in
      let (stream, source) = AsyncStream<Void>.makeStream()
      return PreparedCall(
        call: {
          try await EventLoop.runOnThread { _ in
            for await _ in stream { return }
            try Task.checkCancellation()
          }
        }, complete: { source.yield() })
    },
    AwaitedCall("EventLoop.runInExecutor") { loop, _ in
      let gate = ThreadGate()
      return PreparedCall(
        call: { try await loop.runInExecutor { gate.pass() } }, complete: { gate.open() },
        check: { end in if !end.isComplete { gate.open() } })
    },
    AwaitedCall("EventLoop.shutdownDefaultExecutor") { loop, _ in
      let gate = ThreadGate()
      let work = loop.createTask(eager: true) { try await loop.runInExecutor { gate.pass() } }
      return PreparedCall(
        call: { try await loop.shutdownDefaultExecutor() }, complete: { gate.open() },
        check: { end in
          if !end.isComplete { gate.open() }
          try await work.value
        })
    },
    AwaitedCall("Barrier.wait") { loop, _ in
      let barrier = Barrier(loop, parties: 2)
      let other = Boxed<LoopTask<Int>?>(nil)
      return PreparedCall(
        call: { _ = try await barrier.wait() },
        complete: { other.value = loop.createTask(eager: true) { try await barrier.wait() } },
        check: { end in
          // Whoever came second would wait for another, had the first gone before.
          #expect(barrier.waitingCount == (end.isComplete && !end.returned ? 1 : 0))
          other.value?.cancel()
          _ = await other.value?.outcome
        })
    },
    AwaitedCall("Merge.next") { loop, _ in
      let queues = [Queue<Int>(loop), Queue<Int>(loop)]
      return PreparedCall(
        call: { for try await _ in loop.merge(queues) { break } }, complete: { #expect(queues[1].tryPut(1)) })
    },
    remoteQueue("RemoteQueue.get") { queue, _ in _ = try await queue.get() },
    remoteQueue("RemoteQueue.next") { queue, _ in for try await _ in queue { break } },
    AwaitedCall("RemoteQueue.put") { loop, _ in
      let queue = Queue<Int>(loop, maxCount: 1)
      #expect(queue.tryPut(1))
      let remote = queue.remote
      return PreparedCall(
        call: { try await remote.put(2) }, complete: { #expect(queue.tryGet() == 1) },
        check: { end in #expect(queue.count == (end.returned == end.isComplete ? 1 : 0)) })
    },
    AwaitedCall("RemoteQueue.shutdown") { loop, _ in
      let remote = Queue<Int>(loop).remote
      return PreparedCall(call: { try await remote.shutdown() }, waits: false)
    },
  ]

  private static func remoteQueue(
    _ name: String, _ call: @escaping @Sendable (RemoteQueue<Int>, EventLoop) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let queue = Queue<Int>(loop)
      let remote = queue.remote
      return PreparedCall(
        call: { try await call(remote, loop) }, complete: { #expect(queue.tryPut(1)) },
        check: { end in #expect(queue.count == (end.isComplete && !end.returned ? 1 : 0)) })
    }
  }
}
