// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs closures as tasks at the same time, and returns all results, each with its type. asyncio's `gather`.
  ///
  /// When one fails, the others are cancelled, and awaited. (asyncio lets them run.) So they are when the caller is cancelled.
  ///
  /// - Throws: what failed, several as a ``LoopTaskGroupError``; `CancellationError`.
  public func gather<each Success>(
    file: StaticString = #fileID, line: UInt = #line, _ work: repeat @escaping () async throws -> each Success
  ) async throws -> (repeat each Success) {
    try checkOpen("gather")
    let scope = TaskScope(self)
    let tasks = (repeat scope.start(file: file, line: line, each work))
    try await scope.join("gather")
    return try (repeat (each tasks).finished())
  }

  /// Runs the closure for each item of a sequence, all at the same time, and returns the results in the order of the items.
  /// asyncio's `gather`.
  ///
  /// - Throws: what failed, several as a ``LoopTaskGroupError``; `CancellationError`.
  public func gather<Item, Success>(
    _ items: some Sequence<Item>, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (Item) async throws -> Success
  ) async throws -> [Success] {
    try checkOpen("gather")
    let scope = TaskScope(self)
    let tasks = items.map { item in scope.start(file: file, line: line) { try await body(item) } }
    try await scope.join("gather")
    return try tasks.map { try $0.finished() }
  }

  /// Awaits tasks that run already, and returns their results in their order. asyncio's `gather`.
  ///
  /// When one fails, its error is thrown at once, and the others run on, as in asyncio. When the caller is cancelled, they are
  /// cancelled and awaited.
  ///
  /// - Throws: the first error; `CancellationError`.
  public func gather<Success>(_ tasks: [LoopTask<Success>]) async throws -> [Success] {
    _ = try await ends(of: tasks, "gather", cancels: true) { $0.contains { $0.error != nil } }
    if let failed = tasks.first(where: { $0.isDone && $0.error != nil }) { _ = try failed.finished() }
    return try tasks.map { try $0.finished() }
  }

  /// Runs the closure for each item of a sequence, all at the same time, awaits them all, and returns what each has returned
  /// or thrown. asyncio's `gather` with `return_exceptions`.
  ///
  /// - Throws: `CancellationError` when the caller is cancelled, and with it all tasks.
  public func gatherResults<Item, Success>(
    _ items: some Sequence<Item>, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (Item) async throws -> Success
  ) async throws -> [Result<Success, any Error>] {
    try await gather(items, file: file, line: line) { item -> Result<Success, any Error> in
      do { return .success(try await body(item)) } catch { return .failure(error) }
    }
  }
}

extension LoopTask {
  /// The outcome of a task that has ended.
  func finished() throws -> Success {
    guard let result else { misuse("a task was awaited, and has not ended") }
    return try result.get()
  }
}
