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
public final class TimeLimit: TaskContext, DescribedAwait, Wakeable {
  private let loop: EventLoop
  /// What opened the scope, and waits for its end.
  private let caller: any TaskContext
  /// What the scope's work waits for; nil while it does not.
  var awaited: (any Cancellable)?
  var passedCancellation = false
  /// The work, until it begins.
  private var body: ((TimeLimit) async throws -> Void)?
  /// What runs the work, to be cancelled by itself; nil before it begins, and once it has ended.
  private var native: NativeTask?
  /// What the work has thrown.
  private(set) var failure: (any Error)?
  var timerTicket: TimerTicket?
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

  var awaitedThing: AwaitedThing { .limit(deadline, whatIsAwaited) }

  /// Runs the work, in a native task of its own.
  func run() async {
    guard let body, let native = NativeTask.current else {
      misuse("the work of a time limit began twice")
    }
    self.body = nil
    self.native = native
    loop.tasks.begin(self, native.identity)
    do { try await body(self) } catch { failure = error }
    loop.tasks.end(native.identity)
    self.native = nil
    caller.awaited = nil
    isOver = true
    loop.core.cancelTimer(of: self)
  }

  /// Has it expire at another time; nil for never. asyncio's `reschedule`.
  ///
  /// Does nothing once it has expired, or its scope was left.
  public func reschedule(at deadline: EventLoop.Clock.Instant?) {
    loop.checkThread("TimeLimit.reschedule")
    guard !isOver, !isExpired else { return }
    loop.core.cancelTimer(of: self)
    self.deadline = deadline
    if let deadline { loop.core.schedule(self, at: deadline) }
  }

  /// Has it expire in so long from now.
  public func reschedule(after duration: Duration) { reschedule(at: loop.time.advanced(by: duration)) }

  /// The time is over, unless it was moved in the tick in which it was, or the scope was left.
  func wake() {
    guard !isOver, !isExpired, timerTicket == nil, let deadline, deadline <= loop.time else { return }
    isExpired = true
    cancel()
  }

  @discardableResult
  func cancel() -> Bool {
    guard let native else { return false }
    native.cancel()
    if awaited?.cancel() == true { passedCancellation = true }
    return true
  }
}
