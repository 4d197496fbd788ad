// SPDX-License-Identifier: Apache-2.0

/// Async work on a loop: a ``Future`` that a closure's result is the outcome of. asyncio's `Task`.
///
/// It is made by ``EventLoop/createTask(name:eager:file:line:_:)`` or a ``LoopTaskGroup``, and belongs to its loop's thread, as
/// does all that its closure shares with others. Its result need not be `Sendable`. Behind it is a native `Task`, so that
/// priorities, task locals and `Task.isCancelled` are what they are anywhere.
///
/// Awaiting its ``Future/value`` makes the awaiting task responsible for it: cancelling that one cancels this one, and waits
/// for its end. ``EventLoop/shield(_:)`` stops that. An error that nobody asks for goes to the exception handler once the task
/// is released.
public final class LoopTask<Success>: Future<Success>, AnyLoopTask, RunningTask, DescribedAwait {
  /// The name that it was given. asyncio's `get_name`.
  public let name: String?
  /// Its work, until it begins.
  private var body: (() async throws -> Success)?
  /// What runs it; nil only while it is being made.
  private var native: Task<Void, any Error>?
  var identity: UInt { native?.identity ?? 0 }
  var number: UInt64 = 0
  var task: any RunningTask { self }
  /// What it waits for; nil while it does not, or waits for something of somebody else's.
  var awaited: (any Cancellable)?
  var passedCancellation = false
  var awaitedThing: AwaitedThing { .task(self) }
  /// Whether it passes a cancellation on at this moment.
  private var isInterrupting = false
  /// Told at once when it has ended, by whoever is responsible for it.
  var onEnd: (() -> Void)?

  @usableFromInline
  init(
    _ loop: EventLoop, name: String?, _ callSite: CallSite, _ body: @escaping () async throws -> Success
  ) {
    self.name = name
    self.body = body
    super.init(loop, callSite)
  }

  deinit {
    if hasUnreadError { reportUnreadError(of: name.map { "task \"\($0)\"" } ?? "task", taskName: name) }
  }

  // MARK: Its life

  /// Makes its native task, whose first step stands in the loop's queue from here on. Made where the type of the result is known:
  /// else the closure would have to carry that type, in memory of the heap, and hand the result over by way of a frame more.
  @inlinable
  func makeNative(on executor: any TaskExecutor) -> Task<Void, any Error> {
    // The body leaves the region of its maker here, and the compiler cannot see that it stays on the thread: the task
    // prefers the loop's executor, which runs its jobs on the loop's thread.
    let bound = LoopBound(self)
    // All that it awaits is awaited in this closure itself: another function around that would cost it another visit to the
    // runtime. Nor does it throw: but for one that cannot, the standard library would wrap a second closure around it.
    return Task<Void, any Error>(name: name, executorPreference: executor) {
      let task = bound.value
      let body = task.takeBody()
      do { task.end(with: try await body()) } catch { task.end(throwing: error) }
    }
  }

  /// Notes its native task.
  func started(as native: consuming Task<Void, any Error>) {
    self.native = native
    loop.tasks.insert(self)
  }

  @usableFromInline
  func takeBody() -> () async throws -> Success {
    guard let body else { misuse("a task began twice") }
    self.body = nil
    return body
  }

  @usableFromInline
  func end(with value: Success) {
    // Before anybody hears of its end, so that it is not found among the running ones then.
    loop.tasks.remove(self)
    _ = succeed(value)
    noteEnd()
  }

  @usableFromInline
  func end(throwing error: any Error) {
    loop.tasks.remove(self)
    _ = fail(error)
    noteEnd()
  }

  private func noteEnd() {
    if let onEnd {
      self.onEnd = nil
      onEnd()
    }
    loop.onTaskEnd?(self)
  }

  /// Lets go of work that will not begin.
  func discard() { body = nil }

  /// Has what it waits for end. Its native task was cancelled before, so that no other wait begins.
  func interrupt() {
    // Tasks may await one another in a circle, around which the cancellation goes once.
    guard !isInterrupting else { return }
    isInterrupting = true
    defer { isInterrupting = false }
    if awaited?.cancel() == true { passedCancellation = true }
  }

  // MARK: Its future

  /// Cancels the task: what it awaits throws a `CancellationError`, now and from here on. asyncio's `cancel`.
  ///
  /// It ends when its closure does, which may take its time, and may end it with something else.
  ///
  /// - Returns: false when it has ended already.
  @discardableResult
  public override func cancel() -> Bool {
    loop.checkThread("LoopTask.cancel")
    guard !hasOutcome else { return false }
    native?.cancel()
    interrupt()
    return true
  }

  /// The outcome of a task is its own to set.
  ///
  /// - Throws: ``EventLoopError`` `.invalidState`.
  public override func setResult(_ value: Success) throws(EventLoopError) {
    throw EventLoopError(.invalidState, "LoopTask.setResult: a task's outcome is its own to set")
  }

  /// The outcome of a task is its own to set.
  ///
  /// - Throws: ``EventLoopError`` `.invalidState`.
  public override func setError(_ error: any Error) throws(EventLoopError) {
    throw EventLoopError(.invalidState, "LoopTask.setError: a task's outcome is its own to set")
  }

  /// Has whoever awaits the task be responsible for it: cancelling that one cancels this one.
  override func beginAwait() throws -> (native: Task<Void, any Error>, caller: any TaskContext)? {
    try loop.checkOpen("LoopTask.value")
    guard let native else { misuse("LoopTask.value: the task was not started") }
    guard let current = NativeTask.current, let caller = loop.context(of: current) else { return nil }
    guard caller.task !== self else {
      throw EventLoopError(.invalidState, "LoopTask.value: a task cannot await itself")
    }
    caller.passedCancellation = current.isCancelled && cancel()
    caller.awaited = self
    return (native, caller)
  }

  override func endAwait(by caller: any TaskContext) throws {
    caller.awaited = nil
    if caller.passedCancellation { throw cancelledAwait }
  }

  /// The same for a task that is not the loop's own, or for no task at all.
  override func waitUntilDone() async throws {
    guard let native else { misuse("LoopTask.value: the task was not started") }
    if await loop.waitForEnd(of: self, native) { throw cancelledAwait }
  }

  /// What a cancellation of whoever awaited the task is thrown as, once this one has ended. An error of its own is news;
  /// everything else the one that awaits has no use for any more.
  private var cancelledAwait: any Error {
    if let failure, !(failure is CancellationError) { failure } else { CancellationError() }
  }

  /// Awaits the outcome, and only that ends when the caller is cancelled.
  func shielded() async throws -> Success {
    if !hasOutcome { try await super.waitUntilDone() }
    return try await value
  }

  // MARK: Other threads

  /// The task as other threads may see it.
  public var remote: RemoteTask<Success> {
    loop.checkThread("LoopTask.remote")
    return RemoteTask(self, native, loop.taskExecutor.door)
  }
}
