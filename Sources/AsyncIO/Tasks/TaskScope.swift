// SPDX-License-Identifier: Apache-2.0

/// Tasks that end together: what groups, `gather` and time limits are made of.
///
/// The first failure cancels the others. Whoever opened the scope awaits them all before it goes on, and then throws what went
/// wrong.
final class TaskScope {
  let loop: EventLoop
  /// Those that have not ended, by their numbers: in that order they are cancelled, so that it is the same in each run.
  private var running: [Int: any AnyLoopTask] = [:]
  private var startedCount = 0
  /// What the tasks failed with, but for cancellations, in the order in which they did.
  private(set) var failures: [any Error] = []
  /// Whether the tasks were told to end: by a failure, by the program, or from outside.
  private(set) var isCancelled = false
  /// Whether it was awaited: nothing may begin in it any more.
  private(set) var isClosed = false
  private let gate: Gate

  init(_ loop: EventLoop) {
    self.loop = loop
    gate = Gate(loop)
  }

  var count: Int { running.count }

  /// Starts a task in the scope.
  func start<Success>(
    name: String? = nil, eager: Bool = false, file: StaticString, line: UInt,
    onEnd: ((LoopTask<Success>) -> Void)? = nil, _ body: @escaping () async throws -> Success
  ) -> LoopTask<Success> {
    let task = LoopTask(loop, name: name, CallSite(file, line), body)
    startedCount += 1
    let key = startedCount
    running[key] = task
    task.onEnd = { [self, unowned task] in
      running[key] = nil
      if let error = task.error, !(error is CancellationError) {
        failures.append(error)
        cancel()
      }
      onEnd?(task)
      if running.isEmpty { gate.wakeAll() }
    }
    loop.begin(task, eager: eager)
    if isCancelled { task.cancel() }
    return task
  }

  /// Cancels all tasks that have not ended, and those that begin later.
  func cancel() {
    guard !isCancelled else { return }
    isCancelled = true
    for (_, task) in running.sorted(by: { $0.key < $1.key }) { task.cancel() }
  }

  /// Awaits the end of all tasks; cancels them when the calling task is cancelled.
  ///
  /// - Throws: what failed, one error or a ``LoopTaskGroupError`` with all of them; else `CancellationError` when the calling
  ///   task was cancelled.
  func join(_ method: StaticString) async throws {
    var cancellation: (any Error)?
    do {
      try await gate.waitUntil(method) { running.isEmpty }
    } catch {
      cancellation = error
      cancel()
      await gate.waitRegardless { running.isEmpty }
    }
    isClosed = true
    if failures.count == 1 { throw failures[0] }
    if !failures.isEmpty { throw LoopTaskGroupError(failures) }
    if let cancellation { throw cancellation }
  }
}

/// Several tasks of a group failed. Python's `ExceptionGroup`.
public struct LoopTaskGroupError: Error, CustomStringConvertible {
  /// What they failed with, in the order in which they did; at least two.
  public let errors: [any Error]

  init(_ errors: [any Error]) { self.errors = errors }

  /// All of them, in one line.
  public var description: String {
    "\(errors.count) tasks failed: " + errors.map { "\($0)" }.joined(separator: "; ")
  }
}
