// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Who waits for what when nothing can happen any more.
///
/// Tasks that others wait for stand below those, so that what a chain of them hangs on stands at its end.
struct Deadlock: CustomStringConvertible {
  private let machines: [Machine]

  init(_ world: World) { machines = world.machines }

  var description: String {
    var lines = ["deadlock: nothing is ready, no timer is set and nothing is under way, so that these wait for ever"]
    for machine in machines {
      let tree = TaskTree(machine.loop)
      if tree.isEmpty { continue }
      if machines.count > 1 || machine.isStopped {
        lines.append("on \(machine.name)\(machine.isStopped ? ", whose process is stopped" : ""):")
      }
      lines += tree.lines
    }
    return lines.joined(separator: "\n")
  }
}

/// The tasks of a loop, by who awaits whom.
struct TaskTree {
  private let states: [TaskState]
  /// The places of the tasks that another one awaits.
  private var awaited: Set<ObjectIdentifier> = []
  private let byTask: [ObjectIdentifier: TaskState]

  init(_ loop: EventLoop) {
    states = loop.taskStates
    byTask = Dictionary(states.map { (ObjectIdentifier($0.task), $0) }, uniquingKeysWith: { first, _ in first })
    for state in states {
      if let task = state.awaited?.task { awaited.insert(ObjectIdentifier(task)) }
    }
  }

  var isEmpty: Bool { states.isEmpty }

  /// A line a task, indented below the one that awaits it.
  var lines: [String] {
    var lines: [String] = []
    var shown: Set<ObjectIdentifier> = []
    func show(_ state: TaskState, _ depth: Int) {
      let key = ObjectIdentifier(state.task)
      let isNew = shown.insert(key).inserted
      lines.append(String(repeating: "  ", count: depth + 1) + state.line + (isNew ? "" : " (see above)"))
      guard isNew, let next = state.awaited?.task, let below = byTask[ObjectIdentifier(next)] else { return }
      show(below, depth + 1)
    }
    for state in states where !awaited.contains(ObjectIdentifier(state.task)) { show(state, 0) }
    // Those that are left await one another in a circle.
    for state in states where !shown.contains(ObjectIdentifier(state.task)) { show(state, 0) }
    return lines
  }
}

extension TaskState {
  var line: String { "\(task.label) \(awaited?.sentence ?? "waits for something that is not the loop's")" }
}

extension AnyLoopTask {
  /// The name and where it was made.
  var label: String {
    if let name { return "task \"\(name)\" (\(callSite))" }
    return "task (\(callSite))"
  }
}

extension AwaitedThing {
  /// The task at the end of it, if it is one's end that is awaited.
  var task: (any AnyLoopTask)? {
    switch self {
    case .call: nil
    case .task(let task): task
    case .limit(_, let inner): inner?.task
    }
  }

  /// What a task does meanwhile.
  var sentence: String {
    switch self {
    case .call(let method): "waits in \(method)"
    case .task(let task): "awaits \(task.label)"
    case .limit(let deadline, let inner):
      "\(inner?.sentence ?? "waits for something that is not the loop's")"
        + (deadline == nil ? ", in a time limit that is off" : ", in a time limit")
    }
  }
}
