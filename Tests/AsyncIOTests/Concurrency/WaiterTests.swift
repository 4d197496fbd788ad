// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Suspended waits") struct WaiterTests {
  private final class Captured {}

  enum End: CaseIterable { case wake, failure, cancellation }

  /// What undoes a wait refers to the wait, and so keeps it for ever if it is not let go.
  @Test("what would undo a wait is released with it once it is over", arguments: End.allCases)
  func released(end: End) throws {
    try runLoop { loop, _ in
      weak var captured: Captured?
      weak var wait: Waiter?
      var undone = 0
      let task = try await loop.startWaiting {
        try await loop.wait("test") { waiter in
          let object = Captured()
          (captured, wait) = (object, waiter)
          waiter.onCancel = { withExtendedLifetime((waiter, object)) { undone += 1 } }
        }
      }
      #expect(captured != nil && wait != nil)
      switch end {
      case .wake: wait?.resume()
      case .failure: wait?.end(TestError())
      case .cancellation: task.cancel()
      }
      _ = await task.outcome
      #expect(captured == nil && wait == nil)
      #expect(undone == (end == .wake ? 0 : 1))
    }
  }
}
