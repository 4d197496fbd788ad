// SPDX-License-Identifier: Apache-2.0

/// A task of a loop, whatever its type: what the loop has to know to cancel it, and to see a lost error.
class TaskRecord {
  let name: String?
  let callSite: CallSite
  /// The loop's queues, for the task's end.
  let core: LoopCore
  /// Where the registry keeps it; nil once the task has ended.
  fileprivate(set) var slot: Int?

  init(name: String?, callSite: CallSite, core: LoopCore) {
    self.name = name
    self.callSite = callSite
    self.core = core
  }

  func cancel() {}

  /// Whether nobody holds the task any more, so that nobody can ask for its outcome.
  var isAbandoned: Bool { false }

  /// How messages name the task.
  final var label: String { name.map { "task \"\($0)\"" } ?? "task" }
}

final class TypedTaskRecord<Success: Sendable>: TaskRecord {
  /// Its work, until it begins.
  private var body: (() async throws -> Success)?
  var task: Task<Success, any Error>?

  init(name: String?, callSite: CallSite, core: LoopCore, _ body: @escaping () async throws -> Success) {
    self.body = body
    super.init(name: name, callSite: callSite, core: core)
  }

  /// Hands over the work, which is the task's own to let go of.
  func takeBody() -> (() async throws -> Success)? {
    defer { body = nil }
    return body
  }

  override func cancel() { task?.cancel() }
  override var isAbandoned: Bool { isOnlyReference(&task) }
}

/// The tasks of a loop that have not ended, in the order of their slots.
struct TaskRegistry {
  private var records: [TaskRecord?] = []
  private var freeSlots: [Int] = []

  var isEmpty: Bool { freeSlots.count == records.count }

  /// The tasks that have not ended.
  var running: [TaskRecord] { records.compactMap { $0 } }

  mutating func insert(_ record: TaskRecord) {
    if let free = freeSlots.popLast() {
      record.slot = free
      records[free] = record
    } else {
      record.slot = records.count
      records.append(record)
    }
  }

  mutating func remove(_ record: TaskRecord) {
    guard let slot = record.slot else { return }
    record.slot = nil
    records[slot] = nil
    freeSlots.append(slot)
  }
}
