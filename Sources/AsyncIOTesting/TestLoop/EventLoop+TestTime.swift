// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// Time, for tests on a loop of ``withTestLoop(_:)`` or of a simulated host. Elsewhere these calls are programmer errors.
extension EventLoop {
  /// Lets so much time pass: all that is due by then has happened when it returns.
  ///
  /// It is as `sleep(for:)`, but also waits for what is due at that very moment, and for what follows from it.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func advance(by duration: Duration) async throws {
    _ = world("advance")
    try await sleep(for: duration)
    try await waitAllTasksBlocked()
  }

  /// Lets everything happen that can without time passing: afterwards each other task waits for something that is not there.
  /// trio's `wait_all_tasks_blocked`.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  public func waitAllTasksBlocked() async throws {
    let world = world("waitAllTasksBlocked")
    let isIdle = Future<Void>(self)
    world.whenIdle { try? isIdle.setResult(()) }
    try await isIdle.value
  }

  /// Lets time pass until nothing is to happen any more: no timer is set, and nothing is under way.
  ///
  /// - Parameter limit: when to stop all the same. Something that comes again and again would else go on for ever.
  /// - Returns: whether it stopped because nothing was left.
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  @discardableResult
  public func runUntilIdle(limit: Duration = .seconds(24 * 3600)) async throws -> Bool {
    let world = world("runUntilIdle")
    let isIdle = Future<Bool>(self)
    world.whenNothingIsLeft(until: world.now + limit.wholeNanoseconds) { try? isIdle.setResult($0) }
    return try await isIdle.value
  }

  private func world(_ method: String) -> World {
    guard let kernel = kernel as? SimulatedKernel else {
      misuse("EventLoop.\(method): the loop's time is the real one; this is for loops of withTestLoop")
    }
    return kernel.world
  }
}
