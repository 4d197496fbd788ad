// SPDX-License-Identifier: Apache-2.0

/// What the loop has to know of a task that runs on it.
protocol RunningTask: AnyLoopTask, TaskContext {
  /// Where the registry keeps it; nil once it has ended.
  var slot: Int? { get set }
  /// What tells its native task from others; nil before it begins.
  var identity: UInt? { get set }
  /// Lets go of work that will not begin.
  func discard()
}

/// What a native task stands for on its loop: a loop task, or a part of one that can be cancelled by itself.
protocol TaskContext: Awaiting {
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
  private var tasks: [(any RunningTask)?] = []
  private var freeSlots: [Int] = []
  /// Those that have begun, and their parts, by their native tasks.
  private var byIdentity = IdentityTable<any TaskContext>()
  /// The task that began last. Debug mode clears it before each step, to see whether the step was a task's first.
  var lastBegun: (name: String?, callSite: CallSite)?

  var isEmpty: Bool { count == 0 }

  /// How many there are.
  var count: Int { tasks.count - freeSlots.count }

  /// The tasks that have not ended.
  var running: [any RunningTask] { tasks.compactMap { $0 } }

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
    if let free = freeSlots.popLast() {
      task.slot = free
      tasks[free] = task
    } else {
      task.slot = tasks.count
      tasks.append(task)
    }
  }

  /// Notes that the caller is the task.
  mutating func begin(_ task: any RunningTask) {
    guard let identity = NativeTask.current?.identity else { return }
    task.identity = identity
    byIdentity[identity] = task
    lastBegun = (task.name, task.callSite)
  }

  mutating func remove(_ task: any RunningTask) {
    guard let slot = task.slot else { return }
    task.slot = nil
    tasks[slot] = nil
    freeSlots.append(slot)
    if let identity = task.identity { byIdentity[identity] = nil }
  }

  mutating func removeAll() -> [any RunningTask] {
    let left = running
    for task in left { task.slot = nil }
    self = TaskRegistry()
    return left
  }
}
