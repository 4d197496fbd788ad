// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Starts a task on the loop. asyncio's `create_task`.
  ///
  /// The closure may capture and share whatever its surroundings can, and return it: it runs on the loop's thread only. It
  /// begins in the next iteration, in order with callbacks.
  ///
  /// - Parameters:
  ///   - name: for logs and debuggers.
  ///   - eager: whether it begins at once, and runs to its first suspension before this returns. Where the loop does not
  ///     run, and so nothing can, it begins as others do; so does a closure of MainActor's where that has not been adopted
  ///     (``Configuration/adoption-swift.property``). asyncio's `eager_start`.
  ///   - file: where the call is.
  ///   - line: where the call is.
  ///   - body: the work.
  /// - Returns: the task; whoever holds it can await it and cancel it.
  @inlinable
  @discardableResult
  public func createTask<Success>(
    name: String? = nil, eager: Bool = false, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () async throws -> Success
  ) -> LoopTask<Success> {
    // Made where the type of its result is known: looking for the type of the task at run time would cost as much as making it.
    let task = LoopTask(self, name: name, CallSite(file, line), body)
    checkCreateTask()
    begin(task, eager: eager)
    return task
  }

  @usableFromInline
  func checkCreateTask() { check("createTask") }

  /// Has a task run from the next iteration on, or up to its first suspension at once.
  @inlinable
  func begin<Success>(_ task: LoopTask<Success>, eager: Bool) {
    let outer = expectStart(eager: eager)
    started(task, as: task.makeNative(on: preferredExecutor), outer)
  }

  /// What the tasks of the loop prefer to run on.
  @usableFromInline
  var preferredExecutor: any TaskExecutor { taskExecutor }

  /// Makes ready for the start of a task.
  ///
  /// - Returns: what was expected so far, if it is to have its first steps at once.
  @usableFromInline
  func expectStart(eager: Bool) -> LoopCore.EagerStep? {
    eager && core.mailbox.isOnRunnersThread ? core.expectEagerStart() : nil
  }

  /// Notes that the native task was made, and gives it its first steps if it is to have them at once.
  @usableFromInline
  func started<Success>(
    _ task: LoopTask<Success>, as native: consuming Task<Void, any Error>, _ outer: LoopCore.EagerStep?
  ) {
    task.started(as: native)
    if let outer { runEagerSteps(outer) }
  }

  /// Runs what was started since an eager start is expected, up to its first suspension.
  func runEagerSteps(_ outer: LoopCore.EagerStep) {
    core.runEagerSteps(outer) { job, executor in run(job, on: executor) }
  }

  /// The task that the caller is in; nil in a callback, and in tasks that are not the loop's own, such as the children that
  /// one makes by `async let`. asyncio's `current_task`.
  public var currentTask: (any AnyLoopTask)? {
    checkThread("currentTask")
    return tasks.current
  }

  /// The loop's tasks that have not ended. asyncio's `all_tasks`.
  public var allTasks: [any AnyLoopTask] {
    checkThread("allTasks")
    return tasks.running
  }

  /// Awaits a task, and leaves it alone when the caller is cancelled meanwhile. asyncio's `shield`.
  ///
  /// - Throws: what the task ends with; `CancellationError` as soon as the caller is cancelled.
  public func shield<Success>(_ task: LoopTask<Success>) async throws -> Success {
    try await task.shielded()
  }

  /// Runs the closure as a task that goes on when the caller is cancelled meanwhile. asyncio's `shield`.
  ///
  /// - Throws: what the closure throws; `CancellationError` as soon as the caller is cancelled.
  public func shield<Success>(
    file: StaticString = #fileID, line: UInt = #line, _ body: @escaping () async throws -> Success
  ) async throws -> Success {
    try await createTask(eager: true, file: file, line: line, body).shielded()
  }
}
