// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO
@testable import AsyncIOProcessPool

/// Numbers of worker processes at their limits and beyond.
@Suite("Process pools: numbers at their limits")
struct PoolLimitTests {
  @Test("a pool of no workers is a programmer error that says so", arguments: [0, -1, Int.min])
  func noWorkers(_ number: Int) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [number = number as Int] in
      _ = try ProcessPoolExecutor(try EventLoop(), maxWorkers: number, executable: "/bin/true")
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("ProcessPoolExecutor: maxWorkers must be above zero"))
  }
}
