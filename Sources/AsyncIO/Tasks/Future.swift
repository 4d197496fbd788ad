// SPDX-License-Identifier: Apache-2.0

/// A future that lets go of those who have waited long enough.
protocol WatchedFuture: AnyFuture {
  /// Calls back as ``whenDone(_:)`` does, unless the watcher is forgotten before.
  func whenDone(for watcher: AnyObject, _ callback: @escaping () throws -> Void)
  /// Drops the callbacks of the watcher, which has no use for the outcome any more.
  func forget(_ watcher: AnyObject)
}

/// An outcome that is not there yet. asyncio's `Future`.
///
/// Someone sets it, others await its ``value``, or are called back. It belongs to its loop's thread.
///
/// An error that is set and never asked for goes to the loop's exception handler when the future is released.
public class Future<Value>: AnyFuture, WatchedFuture {
  /// The loop that its callbacks run on.
  public final let loop: EventLoop
  // The outcome stands in fields of their own, and the value in a closure: the type of a `Result` or an Optional of it would have
  // to be looked up whenever code that is not specialised for a value touches it, which made up a tenth of a task.
  /// Whether there is an outcome.
  private(set) final var hasOutcome = false
  /// Hands out what it ended with, if it ended well.
  private final var success: (() -> Value)?
  /// What it ended with, if it did not.
  private(set) final var failure: (any Error)?
  /// Who is called back, each with the watcher by which ``forget(_:)`` finds it; nil for a callback that stays.
  private final var callbacks: [(watcher: AnyObject?, call: () throws -> Void)] = []
  /// Who awaits it; made for the first.
  private final var gate: Gate?
  /// Set while an error is there that nobody has asked for.
  private(set) final var hasUnreadError = false
  /// Where it was made.
  public final let callSite: CallSite

  /// Makes a future without an outcome. asyncio's `create_future`.
  public convenience init(_ loop: EventLoop, file: StaticString = #fileID, line: UInt = #line) {
    self.init(loop, CallSite(file, line))
  }

  init(_ loop: EventLoop, _ callSite: CallSite) {
    self.loop = loop
    self.callSite = callSite
  }

  deinit { if hasUnreadError { reportUnreadError(of: "future") } }

  /// Tells the exception handler, at the end, of an error that nobody asked for.
  final func reportUnreadError(of label: @autoclosure () -> String, taskName: String? = nil) {
    guard hasUnreadError, let failure, !loop.isClosed else { return }
    hasUnreadError = false
    var context = ExceptionContext(message: "the error of a \(label()) was never retrieved", error: failure)
    context.taskName = taskName
    context.callSite = callSite
    loop.callExceptionHandler(context)
  }

  /// Whether it has an outcome. asyncio's `done`.
  public final var isDone: Bool {
    loop.checkThread("Future.isDone")
    return hasOutcome
  }

  /// Whether it was cancelled. asyncio's `cancelled`.
  public final var isCancelled: Bool {
    loop.checkThread("Future.isCancelled")
    return failure is CancellationError
  }

  /// The outcome; nil while there is none. Counts as asking for the error. asyncio's `result` and `exception`.
  public final var result: Result<Value, any Error>? {
    loop.checkThread("Future.result")
    guard hasOutcome else { return nil }
    return Result { try taken() }
  }

  /// The error that it ended with; nil without one, and while there is no outcome. Counts as asking for it. asyncio's
  /// `exception`.
  public final var error: (any Error)? {
    loop.checkThread("Future.error")
    hasUnreadError = false
    return failure
  }

  /// Sets the value. asyncio's `set_result`.
  ///
  /// - Throws: ``EventLoopError`` `.invalidState` when there is an outcome already, or for a task's, which is its own to
  ///   set; `.closed` on a closed loop.
  public func setResult(_ value: Value) throws(EventLoopError) {
    try loop.checkOpen("Future.setResult")
    guard succeed(value) else { throw .invalidState }
  }

  /// Sets the error. asyncio's `set_exception`.
  ///
  /// - Throws: as ``setResult(_:)``.
  public func setError(_ error: any Error) throws(EventLoopError) {
    try loop.checkOpen("Future.setError")
    guard fail(error) else { throw .invalidState }
  }

  /// Ends it with a `CancellationError`. asyncio's `cancel`.
  ///
  /// - Returns: false when there was an outcome already.
  @discardableResult
  public func cancel() -> Bool {
    loop.checkThread("Future.cancel")
    return fail(CancellationError())
  }

  /// Ends it well.
  ///
  /// - Returns: false when it had ended before.
  final func succeed(_ value: Value) -> Bool {
    guard !hasOutcome else { return false }
    success = { value }
    becomeDone()
    return true
  }

  /// Ends it with an error.
  ///
  /// - Returns: false when it had ended before.
  final func fail(_ error: any Error) -> Bool {
    guard !hasOutcome else { return false }
    failure = error
    hasUnreadError = !(error is CancellationError)
    becomeDone()
    return true
  }

  /// Calls back and wakes, now that there is an outcome.
  private final func becomeDone() {
    hasOutcome = true
    if !callbacks.isEmpty {
      let scheduled = callbacks
      callbacks.removeAll()
      for callback in scheduled { schedule(callback.call) }
    }
    gate?.wakeAll()
  }

  /// The outcome, which must be there. Counts as asking for the error.
  final func taken() throws -> Value {
    hasUnreadError = false
    if let failure { throw failure }
    guard let success else { misuse("a future woke its waiters without an outcome") }
    return success()
  }

  /// Calls back by `callSoon` once there is an outcome, or now that there is one. asyncio's `add_done_callback`.
  public final func addDoneCallback(_ callback: @escaping (Future<Value>) throws -> Void) {
    whenDone { [unowned self] in try callback(self) }
  }

  /// Calls back by `callSoon` once there is an outcome, or now that there is one. asyncio's `add_done_callback`.
  public final func whenDone(_ callback: @escaping () throws -> Void) {
    loop.checkThread("Future.addDoneCallback")
    if hasOutcome { schedule(callback) } else { callbacks.append((nil, callback)) }
  }

  final func whenDone(for watcher: AnyObject, _ callback: @escaping () throws -> Void) {
    if hasOutcome { schedule(callback) } else { callbacks.append((watcher, callback)) }
  }

  final func forget(_ watcher: AnyObject) { callbacks.removeAll { $0.watcher === watcher } }

  /// How many callbacks wait for the outcome.
  final var callbackCount: Int { callbacks.count }

  private final func schedule(_ callback: @escaping () throws -> Void) {
    // A closed loop calls nobody back. The closure keeps the future until the callback has run.
    if !loop.isClosed { loop.callSoon { try withExtendedLifetime(self) { try callback() } } }
  }

  /// Awaits the outcome. Any number of tasks may.
  ///
  /// Cancelling a task that awaits it ends that await alone: the future goes on for others. (A ``LoopTask`` is cancelled
  /// with whoever awaits it.)
  ///
  /// - Throws: the error that was set; `CancellationError` when the future or the task is cancelled.
  public final var value: Value {
    get async throws {
      loop.checkThread("Future.value")
      if !hasOutcome {
        // In one function with the await of a task: each on the way back from a suspension costs a visit to the runtime.
        if let (native, caller) = try beginAwait() {
          try await native.value
          try endAwait(by: caller)
        } else {
          try await waitUntilDone()
        }
      }
      return try taken()
    }
  }

  /// Awaits the outcome, as ``value`` does, and returns the error rather than throw it.
  public final var outcome: Result<Value, any Error> {
    get async {
      do { return .success(try await value) } catch { return .failure(error) }
    }
  }

  /// Notes that the calling task is going to await the native task behind this future.
  ///
  /// - Returns: the two; nil where there is no such task, or the caller is none that could have noted it.
  func beginAwait() throws -> (native: Task<Void, any Error>, caller: any TaskContext)? { nil }

  /// Notes that the native task has ended.
  ///
  /// - Throws: what a cancellation is thrown as that the caller has passed on.
  func endAwait(by caller: any TaskContext) throws {}

  /// Suspends the calling task until there is an outcome.
  func waitUntilDone() async throws {
    try await makeGate().wait("Future.value") { self.hasOutcome }
  }

  /// The same in a task that is cancelled already.
  final func waitRegardless() async {
    if !hasOutcome { await makeGate().waitRegardless { self.hasOutcome } }
  }

  /// How many tasks await it.
  final var waitingCount: Int { gate?.count ?? 0 }

  private final func makeGate() -> Gate {
    if let gate { return gate }
    let made = Gate(loop)
    gate = made
    return made
  }
}
