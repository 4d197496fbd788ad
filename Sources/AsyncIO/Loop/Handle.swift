// SPDX-License-Identifier: Apache-2.0

/// A callback that a loop will run. asyncio's `Handle`.
///
/// It belongs to its loop's thread. Copies stand for the same callback. One that is not kept costs no memory.
public struct Handle {
  @usableFromInline let call: ScheduledCall

  @inlinable
  init(_ call: ScheduledCall) { self.call = call }

  /// The handle of a timer as one like any other, for where both kinds are kept.
  public init(_ timer: TimerHandle) { call = timer.call }

  /// Whether ``cancel()`` was called. asyncio's `cancelled`.
  public var isCancelled: Bool {
    call.core.checkThread("Handle.isCancelled")
    return call.wasCancelled
  }

  /// Where the callback was scheduled; known in debug mode only.
  public var callSite: CallSite? { call.callSite }

  /// Makes sure that the callback does not run (again), and lets go of it at once. asyncio's `cancel`.
  ///
  /// Cancelling twice, or after the callback ran, does nothing.
  public consuming func cancel() {
    let core = call.core
    core.checkThread("Handle.cancel")
    call.cancel()
    core.recycle(call)
  }
}

/// A callback that a loop will run at a certain time. asyncio's `TimerHandle`.
///
/// It belongs to its loop's thread. Copies stand for the same callback. One that is not kept costs no memory.
public struct TimerHandle {
  let call: ScheduledCall

  init(_ call: ScheduledCall) { self.call = call }

  /// When the callback is due, on the loop's clock. asyncio's `when`.
  public var when: LoopClock.Instant { call.deadline }

  /// Whether ``cancel()`` was called. asyncio's `cancelled`.
  public var isCancelled: Bool {
    call.core.checkThread("TimerHandle.isCancelled")
    return call.wasCancelled
  }

  /// Where the callback was scheduled; known in debug mode only.
  public var callSite: CallSite? { call.callSite }

  /// Makes sure that the callback does not run, and lets go of it at once. asyncio's `cancel`.
  ///
  /// Cancelling twice, or after the callback ran, does nothing.
  public consuming func cancel() {
    let core = call.core
    core.checkThread("TimerHandle.cancel")
    call.cancel()
    core.recycle(call)
  }
}

extension Handle: Hashable {
  /// Whether both stand for the same callback.
  public static func == (a: Handle, b: Handle) -> Bool { a.call === b.call }
  /// Feeds what tells its callback from others to the hasher.
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(call)) }
}

extension TimerHandle: Hashable {
  /// Whether both stand for the same callback.
  public static func == (a: TimerHandle, b: TimerHandle) -> Bool { a.call === b.call }
  /// Feeds what tells its callback from others to the hasher.
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(call)) }
}
