// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Starts a task on the loop. asyncio's `create_task`.
  ///
  /// The closure may capture and share whatever its surroundings can: it runs on the loop's thread only, as do the
  /// child tasks that it makes with `async let` and task groups. It begins in the next iteration, in order with
  /// callbacks. The task is a native one: cancel it, await its `value`. Its name is for logs and debuggers.
  ///
  /// An error that the task ends with while nobody holds the task goes to the exception handler.
  @discardableResult
  public func createTask<Success: Sendable>(
    name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () async throws -> Success
  ) -> Task<Success, any Error> {
    check("createTask")
    let record = TypedTaskRecord(name: name, callSite: CallSite(file, line), core: core, body)
    core.tasks.insert(record)
    // The body leaves the region of its maker here, and the compiler cannot see that it stays on the thread: the task
    // prefers the loop's executor, which runs its jobs on the loop's thread and nowhere else.
    let bound = LoopBound(record)
    let task = Task(name: name, executorPreference: taskExecutor) {
      let record = bound.value
      defer { record.core.taskEnded(record) }
      guard let body = record.takeBody() else { misuse("a task began twice") }
      do {
        return try await body()
      } catch {
        record.core.taskFailed(record, error)
        throw error
      }
    }
    record.task = task
    return task
  }
}

extension LoopCore {
  fileprivate func taskEnded(_ record: TaskRecord) {
    tasks.remove(record)
    onTaskEnd?(record)
  }

  /// Sees to it that the error is not lost in silence. Whether anybody holds the task can be told only once the task
  /// is over. It is when the callback runs, and whoever waits for the task still holds it then: it is resumed later.
  fileprivate func taskFailed(_ record: TaskRecord, _ error: any Error) {
    if error is CancellationError || isClosed { return }
    schedule(.callback(Handle(self) { EventLoop.running?.reportIfAbandoned(record, error) }))
  }
}

extension EventLoop {
  /// Suspends the task for so long, never for less. asyncio's `sleep`.
  ///
  /// Zero or less lets everything else that is ready run once.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(for duration: Duration) async throws {
    try await sleep(until: time.advanced(by: duration))
  }

  /// Suspends the task until a moment of the loop's clock, never for less.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func sleep(until deadline: Clock.Instant) async throws {
    try await wait("sleep") { waiter in
      if deadline <= time {
        let handle = callSoon { waiter.resume() }
        waiter.onCancel = { handle.cancel() }
      } else {
        let handle = callAt(deadline) { waiter.resume() }
        waiter.onCancel = { handle.cancel() }
      }
    }
  }
}
