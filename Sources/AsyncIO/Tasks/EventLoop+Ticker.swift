// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// A sequence that ticks at equal distances, the first time after one interval from its start. asyncio has none.
  ///
  /// - Parameter interval: the distance, above zero.
  public func every(_ interval: Duration) -> Ticker {
    checkThread("every")
    require(interval > .zero, "EventLoop.every: the interval must be above zero")
    return Ticker(self, interval)
  }
}
