// SPDX-License-Identifier: Apache-2.0

/// Tasks that are awaited before the scope that made them ends. asyncio's `TaskGroup`.
///
/// It comes from ``EventLoop/withLoopTaskGroup(of:maxConcurrent:file:line:_:)``, and belongs to its loop's thread. As a sequence
/// it is the results of its tasks, in the order in which they end. (Those of tasks that return nothing are not kept for it.)
public final class LoopTaskGroup<Success> {
  private let scope: TaskScope
  /// How many tasks may be at work at a time; nil for any number.
  private let maxConcurrent: Int?
  /// How many are at work, where there is a limit.
  private var active = 0
  /// Tasks that wait for their turn, in order.
  private let turns: Gate
  /// Results that nobody has taken.
  private var results: [Success] = []
  private var taken = 0
  private let arrivals: Gate

  init(_ scope: TaskScope, maxConcurrent: Int?) {
    self.scope = scope
    self.maxConcurrent = maxConcurrent
    turns = Gate(scope.loop)
    arrivals = Gate(scope.loop)
  }

  /// How many of its tasks have not ended.
  public private(set) var count = 0

  /// Whether it was cancelled, by ``cancel()``, a failure, or from outside.
  public var isCancelled: Bool { scope.isCancelled }

  /// Starts a task in the group. asyncio's `create_task`.
  ///
  /// With ``EventLoop/withLoopTaskGroup(of:maxConcurrent:file:line:_:)``'s limit, its work begins once fewer than so many are
  /// at work, in the order of these calls. Once the scope has ended this is a programmer error.
  ///
  /// - Parameters:
  ///   - name: for logs and debuggers.
  ///   - file: where the call is.
  ///   - line: where the call is.
  ///   - body: the work.
  /// - Returns: the task.
  @discardableResult
  public func createTask(
    name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () async throws -> Success
  ) -> LoopTask<Success> {
    require(!scope.isClosed, "LoopTaskGroup.createTask: the group's scope has ended")
    count += 1
    return scope.start(name: name, file: file, line: line, onEnd: { [self] in taskEnded($0) }) { [self] in
      try await inTurn(body)
    }
  }

  private func inTurn(_ body: () async throws -> Success) async throws -> Success {
    guard let limit = maxConcurrent else { return try await body() }
    // Whoever is woken has been given the place of the one that woke it.
    if active < limit { active += 1 } else { try await turns.wait("LoopTaskGroup.createTask") }
    defer {
      if !turns.wakeFirst() { active -= 1 }
    }
    return try await body()
  }

  private func taskEnded(_ task: LoopTask<Success>) {
    count -= 1
    if Success.self != Void.self, case .success(let value) = task.result { results.append(value) }
    arrivals.wakeAll()
  }

  /// Ends the group early: its tasks, and the closure of its scope, are cancelled, and the scope ends without an error of its
  /// own. Python's `TaskGroup.cancel`.
  public func cancel() { scope.cancel() }

  /// The result of the next task that ends; nil when all have ended.
  ///
  /// - Throws: `CancellationError` when the group is cancelled, as by a failure.
  public func next() async throws -> Success? {
    while taken == results.count {
      results.removeAll(keepingCapacity: true)
      taken = 0
      if count == 0 { return nil }
      try await arrivals.wait("LoopTaskGroup.next") { taken < results.count || count == 0 }
    }
    defer { taken += 1 }
    return results[taken]
  }
}

extension LoopTaskGroup: AsyncSequence {
  /// Iterates over results.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let group: LoopTaskGroup

    /// The next result; nil when all tasks have ended.
    public mutating func next() async throws -> Success? { try await group.next() }

    /// The next result; nil when all tasks have ended.
    public mutating func next(isolation actor: (any Actor)?) async throws -> Success? {
      try await group.next()
    }
  }

  /// Iterates over the results of the group's tasks, in the order in which they end.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(group: self) }
}
