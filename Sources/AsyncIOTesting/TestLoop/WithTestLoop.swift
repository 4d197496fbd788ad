// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// Runs a test on a loop whose time passes by itself: when nothing is ready, the clock jumps to whatever comes next.
///
/// An hour of time limits and back-offs takes a millisecond, in order and to the nanosecond. `Task.sleep`, `EventLoop`'s
/// timers, and all that is built on them go by that clock. What the loop connects to and listens on is a network of its own in
/// memory, with the host `localhost`.
///
/// A test that would wait for ever fails at once with a ``SimulationError``, which says which task waits for what. So does one
/// that leaves something behind: a task, a timer, an open connection, a server.
///
/// For Swift Testing and XCTest alike. It runs on a thread of its own, which it does not share with other tests that run at
/// the same time. Work for executors is run between callbacks, on that thread. The loop is in debug mode.
///
/// - Parameters:
///   - file: where the call is.
///   - line: where the call is.
///   - body: the test, which is sent to the thread.
/// - Returns: what the test returns.
/// - Throws: what the test throws; ``SimulationError``.
public func withTestLoop<R: Sendable>(
  file: StaticString = #fileID, line: UInt = #line, _ body: sending @escaping (EventLoop) async throws -> R
) async throws -> R {
  try await TestRun.onThread {
    let network = try SimulatedNetwork(seed: 0, choiceLimit: 0, isAlone: true)
    let loop = network.director.loop
    loop.debug = true
    return TestRun(network, isStrict: true, file, line) { try await body(loop) }
  }
}
