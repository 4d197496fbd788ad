// SPDX-License-Identifier: Apache-2.0

/// Moments at equal distances on a loop's clock, without drift: each is a whole number of intervals after the first, however long
/// the work between them takes.
public struct Ticker: AsyncSequence {
  /// One moment that has come.
  public struct Tick: Hashable, Sendable {
    /// How many intervals after the start it is, from 1.
    public let number: Int
    /// How many moments before it have passed since the last one, because the work took longer than the interval.
    public let missed: Int
  }

  private let loop: EventLoop
  private let interval: Duration

  init(_ loop: EventLoop, _ interval: Duration) {
    self.loop = loop
    self.interval = interval
  }

  /// Iterates over moments.
  public struct AsyncIterator: AsyncIteratorProtocol {
    private let loop: EventLoop
    private let interval: Duration
    private let start: EventLoop.Clock.Instant
    private var last = 0

    init(_ loop: EventLoop, _ interval: Duration) {
      self.loop = loop
      self.interval = interval
      start = loop.time
    }

    /// Waits for the next moment. It never ends.
    ///
    /// - Throws: `CancellationError`.
    public mutating func next() async throws -> Tick? {
      try await loop.sleep(until: start.advanced(by: interval * (last + 1)))
      let number = Swift.max(last + 1, Int(start.duration(to: loop.time) / interval))
      defer { last = number }
      return Tick(number: number, missed: number - last - 1)
    }

    /// Waits for the next moment. It never ends.
    ///
    /// - Throws: `CancellationError`.
    public mutating func next(isolation actor: (any Actor)?) async throws -> Tick? { try await next() }
  }

  /// Starts to count the intervals.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(loop, interval) }
}
