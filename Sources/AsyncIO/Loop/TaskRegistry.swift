// SPDX-License-Identifier: Apache-2.0

/// What the loop has to know of a task that runs on it.
protocol RunningTask: AnyLoopTask, TaskContext {
  /// What tells its native task from others.
  var identity: UInt { get }
  /// Its place among the tasks of its loop, in the order in which they were made.
  var number: UInt64 { get set }
  /// Lets go of work that will not begin.
  func discard()
}

/// What a native task stands for on its loop: a loop task, or a part of one that can be cancelled by itself.
protocol TaskContext: Awaiting {
  /// Whether a cancellation was passed on to what it waits for, or waited for last, and came in time there.
  var passedCancellation: Bool { get set }
  /// The task, or the one that this is a part of.
  var task: any RunningTask { get }
}

/// What a task waits for.
package indirect enum AwaitedThing {
  /// A call of the library's.
  case call(StaticString)
  /// The end of another task.
  case task(any AnyLoopTask)
  /// The work of a time limit, which itself waits for something, or for what the loop does not know.
  case limit(LoopClock.Instant?, AwaitedThing?)
}

/// What a task waits for, as those see it who ask.
protocol DescribedAwait: Cancellable {
  var awaitedThing: AwaitedThing { get }
}

extension Awaiting {
  /// What it waits for; nil also for what the loop does not know.
  var whatIsAwaited: AwaitedThing? { (awaited as? any DescribedAwait)?.awaitedThing }
}

extension Suspension: DescribedAwait {
  var awaitedThing: AwaitedThing { .call(method) }
}

/// The tasks of a loop that have not ended.
struct TaskRegistry {
  /// The tasks and their parts, by their native tasks.
  private var byIdentity = IdentityTable<any TaskContext>()
  /// How many tasks there are.
  private(set) var count = 0
  private var nextNumber: UInt64 = 0

  var isEmpty: Bool { count == 0 }

  /// The tasks that have not ended, in the order in which they were made.
  var running: [any RunningTask] {
    byIdentity.values.compactMap { $0 as? any RunningTask }.sorted { $0.number < $1.number }
  }

  /// The task that the caller is in; nil in others than the loop's own, such as the children that one makes by `async let`.
  @inline(__always)
  var current: (any RunningTask)? {
    guard let identity = NativeTask.current?.identity else { return nil }
    return byIdentity[identity]?.task
  }

  /// What the native task with that identity is to the loop; nil for tasks that are not the loop's own.
  func context(_ identity: UInt) -> (any TaskContext)? { byIdentity[identity] }

  /// Notes that a part of a task begins.
  mutating func begin(_ part: any TaskContext, _ identity: UInt) { byIdentity[identity] = part }

  /// Notes that a part of a task has ended.
  mutating func end(_ identity: UInt) { byIdentity[identity] = nil }

  mutating func insert(_ task: any RunningTask) {
    task.number = nextNumber
    nextNumber += 1
    count += 1
    byIdentity[task.identity] = task
  }

  mutating func remove(_ task: any RunningTask) {
    // It is gone already where the loop was closed.
    guard byIdentity[task.identity] != nil else { return }
    count -= 1
    byIdentity[task.identity] = nil
  }

  mutating func removeAll() -> [any RunningTask] {
    let left = running
    self = TaskRegistry()
    return left
  }
}
