// SPDX-License-Identifier: Apache-2.0

/// Finds the tasks of a loop that wait for what the loop does not know of: another executor, or a child of their own. For
/// simulations, which ask again and again, however many tasks there are.
///
/// A task comes to wait for something by a step of its own. So only those have to be looked at that had one since they were
/// last asked for, and those that waited so then.
final class StepLog {
  /// The native tasks that had a step since then. By their identities, as the others: nothing is kept alive here.
  private var stepped: [UInt] = []
  /// The tasks that waited elsewhere when they were last looked at.
  private var elsewhere: Set<UInt> = []

  func note(_ identity: UInt) { stepped.append(identity) }

  /// How many of the tasks wait elsewhere, while none of them has anything to do.
  func waitsElsewhere(_ tasks: TaskRegistry) -> Int {
    for identity in stepped {
      // A part of a task counts as the task. One without a context has ended, or is not the loop's own.
      if let task = tasks.context(identity)?.task.identity { elsewhere.insert(task) }
    }
    stepped.removeAll(keepingCapacity: stepped.count <= StepLog.spareLimit)
    if !elsewhere.isEmpty {
      elsewhere = elsewhere.filter { tasks.context($0).map { isElsewhere($0.task.awaited) } ?? false }
    }
    return elsewhere.count
  }

  private static let spareLimit = 1000

  private func isElsewhere(_ awaited: (any Cancellable)?) -> Bool {
    guard let awaited else { return true }
    // The usual case, and asked for first since it is told by one look at the object.
    if awaited is Suspension { return false }
    // A time limit waits for what its work does.
    guard let part = awaited as? any TaskContext, !(part is any RunningTask) else { return false }
    return isElsewhere(part.awaited)
  }
}
