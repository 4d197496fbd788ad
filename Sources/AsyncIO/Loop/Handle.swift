// SPDX-License-Identifier: Apache-2.0

/// A callback that a loop will run. asyncio's `Handle`.
///
/// It belongs to its loop's thread.
public class Handle {
  /// The work; gone once it ran or was cancelled, so that what it captured goes too.
  private final var callback: (() throws -> Void)?
  /// Whether it stays armed after a run, as a watched descriptor's callback does.
  private final let repeats: Bool
  /// Whether the ready queue holds it.
  final var isQueued = false
  /// Whether ``cancel()`` was called.
  public final var isCancelled: Bool {
    core.checkThread("Handle.isCancelled")
    return wasCancelled
  }
  private(set) final var wasCancelled = false
  /// The loop's queues. While they hold this handle that is a cycle, which the run or the loop's close ends.
  final let core: LoopCore
  /// Where it was scheduled, known in debug mode only.
  private final let origin: Origin?

  /// A closure in a type of its own: generic code would have to wrap a bare one first, in memory of the heap.
  private struct Taken {
    let callback: (() throws -> Void)?
  }

  private final class Origin {
    let site: CallSite
    init(_ site: CallSite) { self.site = site }
  }

  init(_ core: LoopCore, repeats: Bool = false, origin: CallSite? = nil, _ callback: @escaping () throws -> Void) {
    self.core = core
    self.callback = callback
    self.repeats = repeats
    self.origin = origin.map(Origin.init)
  }

  /// Where the callback was scheduled; known in debug mode only.
  public final var callSite: CallSite? { origin?.site }

  /// Makes sure that the callback does not run (again), and lets go of it at once. asyncio's `cancel`.
  ///
  /// Cancelling twice, or after the callback ran, does nothing.
  public func cancel() {
    core.checkThread("Handle.cancel")
    wasCancelled = true
    // When the closure goes, what it captured may call this handle. So it is taken out first, and released after that.
    let taken = Taken(callback: callback)
    callback = nil
    withExtendedLifetime(taken) {}
  }

  /// Runs the callback, unless it was cancelled.
  final func run() throws {
    guard let work = repeats ? callback : callback.take() else { return }
    try work()
  }
}

/// A callback that a loop will run at a certain time. asyncio's `TimerHandle`.
public final class TimerHandle: Handle {
  /// When the callback is due, on the loop's clock.
  public let when: LoopClock.Instant
  /// Where the timer queue keeps this handle; nil once it was taken out.
  var slot: Int?

  init(_ core: LoopCore, when: LoopClock.Instant, origin: CallSite?, _ callback: @escaping () throws -> Void) {
    self.when = when
    super.init(core, origin: origin, callback)
  }

  /// Makes sure that the callback does not run, and lets go of it at once.
  public override func cancel() {
    guard !wasCancelled else { return }
    super.cancel()
    if let slot = slot.take() { core.cancelTimer(slot: slot) }
  }
}
