// SPDX-License-Identifier: Apache-2.0
import Measuring

/// The least that a task costs which prefers an executor, as those of a loop do: one that only queues, and no more about each task
/// than that its end is noted, so that others can ask for its outcome without awaiting it.
enum BareTasks {
  private final class Queue: TaskExecutor, @unchecked Sendable {
    private var jobs: [UnownedJob] = []

    func enqueue(_ job: consuming ExecutorJob) { jobs.append(UnownedJob(job)) }

    func drain() {
      while let job = jobs.popLast() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
  }

  private final class Outcome: @unchecked Sendable {
    var body: (() async throws -> Int)?
    var value = 0

    init(_ body: @escaping () async throws -> Int) { self.body = body }

    func take() -> () async throws -> Int {
      defer { body = nil }
      return body!
    }
  }

  /// A task that creates tasks, and awaits each before the next.
  static func createdAndAwaited(_ operations: Int) -> Spent {
    let queue = Queue()
    let counter = Counter()
    let start = Spent.now
    Task(executorPreference: queue) {
      for _ in 0..<operations {
        let outcome = Outcome { 1 }
        try await task(of: outcome, on: queue).value
        counter.value += outcome.value
      }
    }
    queue.drain()
    precondition(counter.value == operations)
    return start.perOperation(operations)
  }

  @inline(never)
  private static func task(of outcome: Outcome, on queue: Queue) -> Task<Void, any Error> {
    Task<Void, any Error>(executorPreference: queue) { outcome.value = try await outcome.take()() }
  }
}
