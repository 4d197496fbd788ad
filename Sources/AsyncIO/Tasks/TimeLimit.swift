// SPDX-License-Identifier: Apache-2.0

/// The time was over before the work was done. asyncio's `TimeoutError`.
public struct TimeoutError: Error, Equatable, CustomStringConvertible {
  /// Where the time limit was set.
  public let callSite: CallSite

  /// The place of the limit.
  public var description: String { "the time limit that was set at \(callSite) is over" }
}

/// A time limit of a scope, which may be moved. asyncio's `Timeout`.
///
/// It comes from ``EventLoop/withTimeout(_:file:line:_:)-(_,_,_,(TimeLimit)->R)``, and belongs to its loop's thread.
public final class TimeLimit: TaskContext, Cancellable {
  private let loop: EventLoop
  /// What opened the scope, and waits for its end.
  private let caller: any TaskContext
  /// What the scope's work waits for; nil while it does not.
  var awaited: (any Cancellable)?
  /// The work, until it begins.
  private var body: ((TimeLimit) async throws -> Void)?
  /// What runs the work, to be cancelled by itself; nil before it begins, and once it has ended.
  private var native: NativeTask?
  /// What the work has thrown.
  private(set) var failure: (any Error)?
  private var timer: TimerHandle?
  /// When it expires; nil for never. asyncio's `when`.
  public private(set) var deadline: EventLoop.Clock.Instant?
  /// Whether it has expired. asyncio's `expired`.
  public private(set) var isExpired = false
  private var isOver = false

  init(_ loop: EventLoop, _ caller: any TaskContext, _ body: @escaping (TimeLimit) async throws -> Void) {
    self.loop = loop
    self.caller = caller
    self.body = body
  }

  /// The task that the scope is a part of.
  var task: any RunningTask { caller.task }

  var awaitedThing: AwaitedThing { .limit(deadline, awaited?.awaitedThing) }

  /// Runs the work, in a native task of its own.
  func run() async {
    guard let body = body.take(), let native = NativeTask.current else {
      misuse("the work of a time limit began twice")
    }
    self.native = native
    loop.core.tasks.begin(self, native.identity)
    do { try await body(self) } catch { failure = error }
    loop.core.tasks.end(native.identity)
    self.native = nil
    caller.awaited = nil
    isOver = true
    timer.take()?.cancel()
  }

  /// Has it expire at another time; nil for never. asyncio's `reschedule`.
  ///
  /// Does nothing once it has expired, or its scope was left.
  public func reschedule(at deadline: EventLoop.Clock.Instant?) {
    loop.checkThread("TimeLimit.reschedule")
    guard !isOver, !isExpired else { return }
    timer?.cancel()
    self.deadline = deadline
    timer = deadline.map { loop.callAt($0) { self.expire() } }
  }

  /// Has it expire in so long from now.
  public func reschedule(after duration: Duration) { reschedule(at: loop.time.advanced(by: duration)) }

  private func expire() {
    timer = nil
    isExpired = true
    cancel()
  }

  @discardableResult
  func cancel() -> Bool {
    guard let native else { return false }
    native.cancel()
    awaited?.cancel()
    return true
  }
}

extension EventLoop {
  // These are inlined into their callers, which alone know the type of the result, and `limit` does all else without it. A
  // generic function that is not specialised looks the type up again and again, which took a fifth of the whole. Nor are
  // closures wrapped more often than they have to be: each around another is one more await.

  /// Runs the closure, and cancels it when it takes longer than that. asyncio's `timeout` and `wait_for`.
  ///
  /// The closure runs as a part of the calling task, begins at once, and is awaited: nothing of it is left afterwards. Limits
  /// nest, and each throws for itself alone. A closure that is done in the very tick in which the time is over is done.
  ///
  /// - Throws: ``TimeoutError`` when the time is over and the closure was ended by that; `CancellationError` when the caller was
  ///   cancelled, be it in the same tick; else what the closure throws.
  @inlinable
  public func withTimeout<R>(
    _ duration: Duration, file: StaticString = #fileID, line: UInt = #line, _ body: @escaping () async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: time.advanced(by: duration), file, line) { _ in result = try await body() }
    return result!
  }

  /// The same for a closure that may move the limit.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  @inlinable
  public func withTimeout<R>(
    _ duration: Duration, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: time.advanced(by: duration), file, line) { result = try await body($0) }
    return result!
  }

  /// Runs the closure, and cancels it when it is not done by then; nil for no limit, as long as the closure sets none. asyncio's
  /// `timeout_at`.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  @inlinable
  public func withDeadline<R>(
    _ deadline: Clock.Instant?, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: deadline, file, line) { _ in result = try await body() }
    return result!
  }

  /// The same for a closure that may move the limit.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  @inlinable
  public func withDeadline<R>(
    _ deadline: Clock.Instant?, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    var result: R?
    try await limit(until: deadline, file, line) { result = try await body($0) }
    return result!
  }

  /// Runs the work as a child of the calling task that can be cancelled by itself.
  @usableFromInline
  func limit(
    until deadline: Clock.Instant?, _ file: StaticString, _ line: UInt,
    _ body: @escaping (TimeLimit) async throws -> Void
  ) async throws {
    try checkOpen("withTimeout")
    guard let current = NativeTask.current, !current.isCancelled else { throw CancellationError() }
    guard let caller = core.tasks.context(current.identity) else {
      // The caller is no task of the loop's, so that a child of it might run on any thread: a task of the loop's does it.
      try await createTask(eager: true, file: file, line: line) {
        try await self.limit(until: deadline, file, line, body)
      }
      .value
      return
    }
    let limit = TimeLimit(self, caller, body)
    // Before the work begins, since it may move the limit in its first step.
    limit.reschedule(at: deadline)
    caller.awaited = limit
    // The work stays on the thread: a child task inherits the preference for the loop's executor.
    let bound = LoopBound(limit)
    let outer = core.expectEagerStart()
    async let end: Void = bound.value.run()
    runEagerSteps(outer)
    await end
    guard let failure = limit.failure else { return }
    // A cancellation of the caller is thrown as what it is, also when the time was over in the same tick.
    if failure is CancellationError, limit.isExpired, !current.isCancelled {
      throw TimeoutError(callSite: CallSite(file, line))
    }
    throw failure
  }
}
