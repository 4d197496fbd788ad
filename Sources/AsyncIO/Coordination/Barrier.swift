// SPDX-License-Identifier: Apache-2.0

/// A place where tasks of a loop wait for one another, a fixed number at a time. asyncio's `Barrier`.
///
/// It belongs to its loop's thread. The last to come lets all through, and the barrier is there for the next round at once.
public final class Barrier {
  private let loop: EventLoop
  /// How many tasks pass together. asyncio's `parties`.
  public let parties: Int
  private var wasBroken = false
  private let waiting: TicketGate<Slot<Int>>

  /// Makes a barrier.
  ///
  /// - Parameters:
  ///   - loop: its loop.
  ///   - parties: how many tasks pass together, one or more.
  public init(_ loop: EventLoop, parties: Int) {
    require(parties > 0, "Barrier.init: the number of parties must be above zero")
    self.loop = loop
    self.parties = parties
    waiting = TicketGate(loop)
  }

  /// How many tasks wait. asyncio's `n_waiting`.
  public var waitingCount: Int {
    loop.checkThread("Barrier.waitingCount")
    return waiting.count
  }

  /// Whether it was aborted. asyncio's `broken`.
  public var isBroken: Bool {
    loop.checkThread("Barrier.isBroken")
    return wasBroken
  }

  /// Waits until so many tasks have come as pass together. asyncio's `wait`.
  ///
  /// - Returns: its place among them, from zero, in the order in which they came: so that one of them can be told to do what
  ///   has to be done once.
  /// - Throws: ``EventLoopError`` `.brokenBarrier` when the barrier is aborted, or reset meanwhile. `CancellationError` when the
  ///   task is cancelled before it was let through: it counts no longer, and the others wait on. ``EventLoopError``
  ///   `.closed`.
  public func wait() async throws -> Int {
    loop.checkThread("Barrier.wait")
    let place = Slot<Int>()
    if !pass(place) { try await waiting.wait("Barrier.wait", place) { pass(place) } }
    guard let position = place.content else { throw Barrier.broken("aborted") }
    return position
  }

  /// Ends the round: those that wait get an error, and the barrier is empty and whole again. asyncio's `reset`.
  public func reset() {
    loop.checkThread("Barrier.reset")
    wasBroken = false
    waiting.wakeAll(.failure(Barrier.broken("reset")))
  }

  /// Breaks the barrier: those that wait, and those that come, get an error, until a ``reset()``. asyncio's `abort`.
  public func abort() {
    loop.checkThread("Barrier.abort")
    wasBroken = true
    waiting.wakeAll(.failure(Barrier.broken("aborted")))
  }

  /// Looks whether the caller need not wait: as the last, who lets the others through, or for an error.
  private func pass(_ place: Slot<Int>) -> Bool {
    if wasBroken { return true }
    guard waiting.hasAtLeast(parties - 1) else { return false }
    for position in 0..<parties - 1 { waiting.wakeFirst { $0.content = position } }
    place.content = parties - 1
    return true
  }

  private static func broken(_ how: String) -> EventLoopError {
    EventLoopError(.brokenBarrier, "Barrier.wait: the barrier was \(how)")
  }
}
