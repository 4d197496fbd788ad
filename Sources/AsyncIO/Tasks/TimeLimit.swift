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
public final class TimeLimit {
  private unowned let loop: EventLoop
  let callSite: CallSite
  /// What is cancelled at the end of the time; nil once the scope is left.
  private var task: (any AnyLoopTask)?
  private var timer: TimerHandle?
  /// When it expires; nil for never. asyncio's `when`.
  public private(set) var deadline: EventLoop.Clock.Instant?
  /// Whether it has expired. asyncio's `expired`.
  public private(set) var isExpired = false

  init(_ loop: EventLoop, _ callSite: CallSite) {
    self.loop = loop
    self.callSite = callSite
  }

  func begin(_ task: any AnyLoopTask, _ deadline: EventLoop.Clock.Instant?) {
    self.task = task
    reschedule(at: deadline)
  }

  func end() {
    task = nil
    timer?.cancel()
    timer = nil
  }

  /// Has it expire at another time; nil for never. asyncio's `reschedule`.
  ///
  /// Does nothing once it has expired, or its scope was left.
  public func reschedule(at deadline: EventLoop.Clock.Instant?) {
    loop.checkThread("TimeLimit.reschedule")
    guard task != nil, !isExpired else { return }
    timer?.cancel()
    self.deadline = deadline
    timer = deadline.map { loop.callAt($0) { [unowned self] in expire() } }
  }

  /// Has it expire in so long from now.
  public func reschedule(after duration: Duration) { reschedule(at: loop.time.advanced(by: duration)) }

  private func expire() {
    timer = nil
    guard let task else { return }
    isExpired = true
    task.cancel()
  }
}

extension EventLoop {
  /// Runs the closure, and cancels it when it takes longer than that. asyncio's `timeout` and `wait_for`.
  ///
  /// The closure runs as a task, which begins at once and is awaited: nothing of it is left afterwards. Limits nest, and each
  /// throws for itself alone. A closure that is done in the very tick in which the time is over is done.
  ///
  /// - Throws: ``TimeoutError`` when the time is over and the closure was ended by that; `CancellationError` when the caller was
  ///   cancelled, be it in the same tick; else what the closure throws.
  public func withTimeout<R>(
    _ duration: Duration, file: StaticString = #fileID, line: UInt = #line, _ body: @escaping () async throws -> R
  ) async throws -> R {
    try await limited(until: time.advanced(by: duration), CallSite(file, line)) { _ in try await body() }
  }

  /// The same for a closure that may move the limit.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  public func withTimeout<R>(
    _ duration: Duration, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    try await limited(until: time.advanced(by: duration), CallSite(file, line), body)
  }

  /// Runs the closure, and cancels it when it is not done by then; nil for no limit, as long as the closure sets none. asyncio's
  /// `timeout_at`.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  public func withDeadline<R>(
    _ deadline: Clock.Instant?, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping () async throws -> R
  ) async throws -> R {
    try await limited(until: deadline, CallSite(file, line)) { _ in try await body() }
  }

  /// The same for a closure that may move the limit.
  ///
  /// - Throws: as ``withTimeout(_:file:line:_:)-(_,_,_,()->R)``.
  public func withDeadline<R>(
    _ deadline: Clock.Instant?, file: StaticString = #fileID, line: UInt = #line,
    _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    try await limited(until: deadline, CallSite(file, line), body)
  }

  private func limited<R>(
    until deadline: Clock.Instant?, _ callSite: CallSite, _ body: @escaping (TimeLimit) async throws -> R
  ) async throws -> R {
    try checkOpen("withTimeout")
    try Task.checkCancellation()
    let limit = TimeLimit(self, callSite)
    let task = makeTask(name: nil, callSite) { try await body(limit) }
    // Before it begins, since it may move the limit in its first step.
    limit.begin(task, deadline)
    begin(task, eager: true)
    defer { limit.end() }
    do {
      return try await task.value
    } catch let cancellation as CancellationError {
      // What came from outside is for those outside, in the same tick as well.
      if limit.isExpired, !Task.isCancelled { throw TimeoutError(callSite: callSite) }
      throw cancellation
    }
  }
}
