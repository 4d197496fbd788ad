// SPDX-License-Identifier: Apache-2.0
import CAsyncIOTesting

/// The standard library's clocks, which show a world's time on the thread that runs it. So `Task.sleep` is exact there, and what
/// a program measures by `ContinuousClock` is the same in each run. What the time of day is they do not tell.
enum StandardClocks {
  /// Has them show a world's time from now on, until it moves.
  static func show(_ now: Int64) { casyncio_testing_set_time(now) }

  static func showRealTime() { casyncio_testing_unset_time() }
}
