// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// The tasks that wait for one thing, in the order in which they came. Everything in the library that several tasks may wait
/// for has one.
///
/// Whoever opens the gate makes the state consistent first: a task that is woken runs later, and another one may come before
/// it and look at that state.
typealias Gate = TicketGate<Void>

/// A gate where each task holds a ticket: what it has brought, or where it will find what it is given.
final class TicketGate<Ticket> {
  private struct Entry {
    let waiter: Waiter
    let ticket: Ticket
  }

  private unowned let loop: EventLoop
  /// Those that were cancelled stay until their turn comes, or a purge.
  private var entries = Deque<Entry>()
  /// How many there may be before those that were cancelled are looked for.
  private var purgeLimit = leastPurgeLimit

  init(_ loop: EventLoop) { self.loop = loop }

  /// Whether nobody waits.
  var isEmpty: Bool {
    while let first = entries.first, !first.waiter.isSuspended { entries.removeFirst() }
    return entries.isEmpty
  }

  /// How many wait.
  var count: Int { entries.count { $0.waiter.isSuspended } }

  /// Whether so many wait, or more.
  func hasAtLeast(_ number: Int) -> Bool {
    if entries.count < number { return false }
    purge()
    return entries.count >= number
  }

  /// Suspends the calling task until it is woken, once, unless it need not wait.
  ///
  /// - Parameters:
  ///   - method: the public call that waits, for its errors.
  ///   - ticket: what whoever wakes it gets to see.
  ///   - isOpen: whether it need not wait. Asked in one go with the suspension, since other code may have run on the way here.
  /// - Throws: `CancellationError` when the task is cancelled before it is woken; what it is woken with.
  func wait(_ method: StaticString, _ ticket: Ticket, unless isOpen: () -> Bool = { false }) async throws {
    try await loop.wait(method) { waiter in
      if isOpen() { waiter.resume() } else { append(waiter, ticket) }
    }
  }

  /// The same for a task that no cancellation is to keep from what it waits for.
  func waitRegardless(_ ticket: Ticket, unless isOpen: () -> Bool) async {
    await loop.waitRegardless { waiter in
      if isOpen() { waiter.resume() } else { append(waiter, ticket) }
    }
  }

  /// Wakes the one that has waited longest.
  ///
  /// - Parameters:
  ///   - result: what it is woken with.
  ///   - give: sees its ticket before it can run.
  /// - Returns: whether there was one. What it waited for is its own then: a cancellation that comes now is too late.
  @discardableResult
  func wakeFirst(_ result: Result<Void, any Error> = .success(()), giving give: (Ticket) -> Void) -> Bool {
    while let first = entries.popFirst() {
      guard first.waiter.isSuspended else { continue }
      give(first.ticket)
      first.waiter.resume(result)
      return true
    }
    return false
  }

  /// Wakes the one that has waited longest.
  ///
  /// - Returns: whether there was one. What it waited for is its own then: a cancellation that comes now is too late.
  @discardableResult
  func wakeFirst(_ result: Result<Void, any Error> = .success(())) -> Bool { wakeFirst(result) { _ in } }

  /// Wakes all, in order.
  func wakeAll(_ result: Result<Void, any Error> = .success(())) {
    let woken = entries
    entries.removeAll()
    for entry in woken { entry.waiter.resume(result) }
  }

  private func append(_ waiter: Waiter, _ ticket: Ticket) {
    if entries.count >= purgeLimit {
      purge()
      purgeLimit = max(leastPurgeLimit, 2 * entries.count)
    }
    entries.append(Entry(waiter: waiter, ticket: ticket))
  }

  /// Lets go of those that were cancelled.
  private func purge() { entries.removeAll { !$0.waiter.isSuspended } }
}

private let leastPurgeLimit = 16

extension TicketGate<Void> {
  /// Suspends the calling task until it is woken, once, unless it need not wait.
  func wait(_ method: StaticString, unless isOpen: () -> Bool = { false }) async throws {
    try await wait(method, (), unless: isOpen)
  }

  /// Suspends the calling task until the condition holds, however often it is woken before.
  func waitUntil(_ method: StaticString, _ condition: () -> Bool) async throws {
    while !condition() { try await wait(method, unless: condition) }
  }

  /// The same in a task that is cancelled already, and whose cancellation changes nothing here.
  func waitRegardless(until condition: () -> Bool) async {
    while !condition() { await waitRegardless((), unless: condition) }
  }
}
