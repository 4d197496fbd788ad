// SPDX-License-Identifier: Apache-2.0

/// What a loop knows of a callback that it was given, and what a ``Handle`` stands for.
///
/// Its memory serves one call after the other: see ``LoopCore/makeCall(origin:_:)``.
@usableFromInline
final class ScheduledCall {
  // In the order in which they take the least memory: a program may have timers by the hundred thousand.

  /// The work; gone once it ran or was cancelled, so that what it captured goes too.
  private var callback: (() throws -> Void)?
  /// The loop's queues. While they hold this call that is a cycle, which the run or the loop's close ends.
  let core: LoopCore
  /// When it is due, of a timer.
  var deadline = LoopClock.Instant(nanoseconds: 0)
  /// Where it was scheduled, known in debug mode only.
  private var origin: CallSiteBox?
  /// What its timer is cancelled by, or was before it came up.
  var timerTicket: TimerTicket?
  /// Whether it stays armed after a run, as a watched descriptor's callback does.
  private let repeats: Bool
  /// Whether the ready queue holds it, of a callback that may come up again before it ran.
  var isQueued = false
  private(set) var wasCancelled = false

  var callSite: CallSite? {
    get { origin?.site }
    set { origin = newValue.map(CallSiteBox.init) }
  }

  /// A closure in a type of its own: generic code would have to wrap a bare one first, in memory of the heap.
  private struct Taken {
    let callback: (() throws -> Void)?
  }

  init(_ core: LoopCore, repeats: Bool = false, _ callback: consuming @escaping () throws -> Void) {
    self.core = core
    self.callback = callback
    self.repeats = repeats
  }

  /// Whether its memory may become another call's, once nobody else refers to it.
  @inline(__always)
  var isReusable: Bool { !repeats && origin == nil }

  /// Becomes another call. The one before is over, and nobody refers to it.
  @inline(__always)
  func reuse(_ callback: consuming @escaping () throws -> Void) {
    self.callback = callback
    wasCancelled = false
    timerTicket = nil
  }

  /// Makes sure that the callback does not run (again), and lets go of it at once.
  func cancel() {
    guard !wasCancelled else { return }
    wasCancelled = true
    // When the closure goes, what it captured may call this handle. So it is taken out first, and released after that.
    let taken = Taken(callback: callback.take())
    if let ticket = timerTicket.take() { core.cancelTimer(ticket) }
    withExtendedLifetime(taken) {}
  }

  /// Runs the callback, unless it was cancelled.
  func run() throws {
    guard let work = repeats ? callback : callback.take() else { return }
    try work()
  }
}
