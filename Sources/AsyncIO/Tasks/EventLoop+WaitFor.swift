// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// When ``EventLoop/wait(for:timeout:returnWhen:)`` returns.
  public enum WaitCondition: Sendable {
    /// Once one has ended.
    case firstCompleted
    /// Once one has ended with an error, or all have ended.
    case firstError
    /// Once all have ended.
    case allCompleted
  }

  /// Waits for tasks or futures, without asking for their outcomes. asyncio's `wait`.
  ///
  /// None is cancelled, whether the time is over or the caller cancelled.
  ///
  /// - Parameters:
  ///   - futures: what to wait for.
  ///   - timeout: how long; nil for as long as it takes. That it is over is no error.
  ///   - condition: when to return.
  /// - Returns: those that have an outcome, and those that have none, each in the given order.
  /// - Throws: `CancellationError`.
  public func wait<F: AnyFuture>(
    for futures: [F], timeout: Duration? = nil, returnWhen condition: WaitCondition = .allCompleted
  ) async throws -> (done: [F], pending: [F]) {
    let limit = timeout.map { time.advanced(by: $0) }
    try await ends(of: futures, "wait", until: limit) { done in
      switch condition {
      case .firstCompleted: true
      case .firstError: done.contains { $0.error != nil }
      case .allCompleted: false
      }
    }
    return (futures.filter { $0.isDone }, futures.filter { !$0.isDone })
  }

  /// Suspends the calling task until all futures have outcomes, or until enough of them have.
  func ends<F: AnyFuture>(
    of futures: [F], _ method: StaticString, cancels: Bool = false, until limit: Clock.Instant? = nil,
    _ isEnough: ([F]) -> Bool
  ) async throws {
    try checkOpen(method)
    let gate = Gate(self)
    var isOver = false
    for future in futures where !future.isDone { future.wake(gate) }
    // A future may be waited for again and again, for as long as the program runs.
    defer { for case let future as any WatchedFuture in futures { future.forget(gate) } }
    let timer = limit.map { limit in
      callAt(limit) {
        isOver = true
        gate.wakeAll()
      }
    }
    defer { timer?.cancel() }
    func isDone() -> Bool {
      let done = futures.filter { $0.isDone }
      return isOver || done.count == futures.count || !done.isEmpty && isEnough(done)
    }
    do {
      try await gate.waitUntil(method, isDone)
    } catch {
      if cancels {
        for future in futures { future.cancel() }
        await gate.waitRegardless { futures.allSatisfy { $0.isDone } }
      }
      throw error
    }
  }

  /// The tasks or futures in the order in which they get their outcomes. asyncio's `as_completed`.
  ///
  /// A sequence of themselves, so that each can be told from the others; its value is there already.
  public func asCompleted<F: AnyFuture>(_ futures: [F]) -> CompletedFutures<F> { CompletedFutures(self, futures) }
}

extension AnyFuture {
  /// Opens the gate once there is an outcome.
  fileprivate func wake(_ gate: Gate) {
    if let future = self as? any WatchedFuture {
      future.whenDone(for: gate) { gate.wakeAll() }
    } else {
      whenDone { gate.wakeAll() }
    }
  }
}

/// Futures in the order in which they get their outcomes.
public struct CompletedFutures<F: AnyFuture>: AsyncSequence {
  private let arrivals: Arrivals

  final class Arrivals {
    var left: Int
    var done: [F] = []
    let gate: Gate

    init(_ loop: EventLoop, _ count: Int) {
      left = count
      gate = Gate(loop)
    }
  }

  init(_ loop: EventLoop, _ futures: [F]) {
    let arrivals = Arrivals(loop, futures.count)
    self.arrivals = arrivals
    for future in futures {
      future.whenDone {
        arrivals.done.append(future)
        arrivals.gate.wakeAll()
      }
    }
  }

  /// Iterates over futures that are done.
  public struct AsyncIterator: AsyncIteratorProtocol {
    private let arrivals: Arrivals
    private var next = 0

    init(_ arrivals: Arrivals) { self.arrivals = arrivals }

    /// The next future that is done; nil when all were.
    ///
    /// - Throws: `CancellationError`, and then no future is lost.
    public mutating func next() async throws -> F? {
      guard next < arrivals.left else { return nil }
      let position = next
      try await arrivals.gate.waitUntil("asCompleted") { position < arrivals.done.count }
      next += 1
      return arrivals.done[position]
    }

    /// The next future that is done; nil when all were.
    ///
    /// - Throws: `CancellationError`, and then no future is lost.
    public mutating func next(isolation actor: (any Actor)?) async throws -> F? { try await next() }
  }

  /// Iterates over the futures in the order in which they get their outcomes.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(arrivals) }
}
