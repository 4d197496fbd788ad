// SPDX-License-Identifier: Apache-2.0

/// An outcome that is not there yet. asyncio's `Future`.
///
/// Someone sets it, others await its ``value``, or are called back. It belongs to its loop's thread.
///
/// An error that is set and never asked for goes to the loop's exception handler when the future is released.
public final class Future<Value> {
  private enum State {
    case pending
    case done(Result<Value, any Error>)
  }

  /// The loop that its callbacks run on.
  public let loop: EventLoop
  private var state = State.pending
  private var callbacks: [(Future<Value>) throws -> Void] = []
  private var waiters = WaiterQueue()
  /// Set while an error is there that nobody has asked for.
  private var hasUnreadError = false
  private let callSite: CallSite

  /// Makes a future without an outcome. asyncio's `create_future`.
  public init(_ loop: EventLoop, file: StaticString = #fileID, line: UInt = #line) {
    self.loop = loop
    callSite = CallSite(file, line)
  }

  deinit {
    guard hasUnreadError, case .done(.failure(let error)) = state, !loop.isClosed else { return }
    var context = ExceptionContext(message: "the error of a future was never retrieved", error: error)
    context.callSite = callSite
    loop.callExceptionHandler(context)
  }

  /// Whether it has an outcome. asyncio's `done`.
  public var isDone: Bool {
    loop.checkThread("Future.isDone")
    return hasOutcome
  }

  private var hasOutcome: Bool {
    if case .done = state { true } else { false }
  }

  /// Whether it was cancelled. asyncio's `cancelled`.
  public var isCancelled: Bool {
    loop.checkThread("Future.isCancelled")
    guard case .done(.failure(let error)) = state else { return false }
    return error is CancellationError
  }

  /// The outcome; nil while there is none. Counts as asking for the error. asyncio's `result` and `exception`.
  public var result: Result<Value, any Error>? {
    loop.checkThread("Future.result")
    guard case .done(let result) = state else { return nil }
    hasUnreadError = false
    return result
  }

  /// Sets the value. asyncio's `set_result`.
  ///
  /// - Throws: ``EventLoopError`` `.invalidState` when there is an outcome already, `.closed` on a closed loop.
  public func setResult(_ value: Value) throws(EventLoopError) {
    try loop.checkOpen("Future.setResult")
    guard finish(.success(value)) else { throw .invalidState }
  }

  /// Sets the error. asyncio's `set_exception`.
  ///
  /// - Throws: ``EventLoopError`` `.invalidState` when there is an outcome already, `.closed` on a closed loop.
  public func setError(_ error: any Error) throws(EventLoopError) {
    try loop.checkOpen("Future.setError")
    guard finish(.failure(error)) else { throw .invalidState }
  }

  /// Ends it with a `CancellationError`. asyncio's `cancel`.
  ///
  /// - Returns: false when there was an outcome already.
  @discardableResult
  public func cancel() -> Bool {
    loop.checkThread("Future.cancel")
    return finish(.failure(CancellationError()))
  }

  private func finish(_ result: Result<Value, any Error>) -> Bool {
    guard case .pending = state else { return false }
    state = .done(result)
    if case .failure(let error) = result, !(error is CancellationError) { hasUnreadError = true }
    let scheduled = callbacks
    callbacks.removeAll()
    for callback in scheduled { schedule(callback) }
    waiters.resumeAll()
    return true
  }

  /// Calls back by `callSoon` once there is an outcome, or now that there is one. asyncio's `add_done_callback`.
  public func addDoneCallback(_ callback: @escaping (Future<Value>) throws -> Void) {
    loop.checkThread("Future.addDoneCallback")
    if hasOutcome { schedule(callback) } else { callbacks.append(callback) }
  }

  private func schedule(_ callback: @escaping (Future<Value>) throws -> Void) {
    // A closed loop calls nobody back any more.
    if !loop.isClosed { loop.callSoon { try callback(self) } }
  }

  /// Awaits the outcome. Any number of tasks may.
  ///
  /// Cancelling a task that awaits it ends that await alone; the future goes on for others.
  ///
  /// - Throws: the error that was set; `CancellationError` when the future or the task is cancelled.
  public var value: Value {
    get async throws {
      if !hasOutcome {
        try await loop.wait("Future.value") { waiter in
          if hasOutcome {
            waiter.resume()
          } else {
            waiters.append(waiter)
            waiter.onCancel = { self.waiters.remove(waiter) }
          }
        }
      }
      guard let result else { misuse("a future woke its waiters without an outcome") }
      return try result.get()
    }
  }
}
