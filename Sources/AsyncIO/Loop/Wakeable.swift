// SPDX-License-Identifier: Apache-2.0

/// What can wait for its turn or its time without a callback and a handle of its own, which would be two more allocations.
protocol Wakeable: AnyObject {
  /// Where the timer queue keeps it; nil while it does not.
  var timerTicket: TimerTicket? { get set }
  /// Called when its turn has come, once for each time that it was scheduled. It may have no use for that any more.
  func wake()
}
