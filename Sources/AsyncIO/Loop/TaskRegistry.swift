// SPDX-License-Identifier: Apache-2.0

/// What the loop has to know of a task that runs on it.
protocol RunningTask: AnyLoopTask {
  /// Where the registry keeps it; nil once it has ended.
  var slot: Int? { get set }
  /// What tells its native task from others; nil before it begins.
  var identity: UInt? { get set }
  /// What it waits for; nil while it does not.
  var waiter: Waiter? { get set }
  /// Whether it was cancelled, and the loop's thread knows.
  var isCancelRequested: Bool { get }
  /// Lets go of work that will not begin.
  func discard()
}

/// The tasks of a loop that have not ended.
struct TaskRegistry {
  private var tasks: [(any RunningTask)?] = []
  private var freeSlots: [Int] = []
  /// Those that have begun, by their native tasks.
  private var byIdentity: [UInt: any RunningTask] = [:]
  /// The last that has begun, for debug mode, which clears it.
  var lastBegun: (name: String?, callSite: CallSite)?

  var isEmpty: Bool { freeSlots.count == tasks.count }

  /// The tasks that have not ended.
  var running: [any RunningTask] { tasks.compactMap { $0 } }

  /// The task that the caller is in; nil in others than the loop's own, such as the children that one makes by `async let`.
  var current: (any RunningTask)? { CurrentTask.identity.flatMap { byIdentity[$0] } }

  /// The task with that native one.
  func task(_ identity: UInt) -> (any RunningTask)? { byIdentity[identity] }

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
    guard let identity = CurrentTask.identity else { return }
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
