// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct GateTests {
  @Test("tasks that are cancelled at a gate that nobody opens do not pile up, and those that wait keep their order")
  func purge() throws {
    try runLoop { loop, _ in
      let gate = TicketGate<ReleaseProbe>(loop)
      var released = 0
      var order: [Int] = []
      for number in 0..<200 {
        let task = loop.createTask(eager: true) {
          try await gate.wait("test", ReleaseProbe { released += 1 })
          order.append(number)
        }
        if number % 50 != 0 { task.cancel() }
        try await loop.turn(1)
      }
      #expect(released > 150)
      #expect(gate.count == 4 && gate.hasAtLeast(4) && !gate.hasAtLeast(5) && !gate.isEmpty)
      #expect(released == 196)
      while gate.wakeFirst() {}
      try await loop.until { order == [0, 50, 100, 150] }
      #expect(gate.isEmpty)
    }
  }
}
