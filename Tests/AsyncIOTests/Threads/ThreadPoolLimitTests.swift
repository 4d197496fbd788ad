// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Numbers of threads and sizes of stacks at their limits and beyond.
@Suite("Thread pools: numbers at their limits")
struct ThreadPoolLimitTests {
  @Test("a pool of no threads is a programmer error that says so", arguments: [0, -1, Int.min])
  func noThreads(_ number: Int) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [number = number as Int] in
      _ = ThreadPoolExecutor(maxWorkers: number)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("ThreadPoolExecutor: maxWorkers must be above zero"))
  }

  @Test("a stack of nothing is a programmer error that says so", arguments: [0, -1, Int.min])
  func noStack(_ number: Int) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [number = number as Int] in
      _ = ThreadPoolExecutor(stackSize: number)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("ThreadPoolExecutor: stackSize must be above zero"))
  }

  @Test("a stack that the system does not give is an error of the first job", arguments: [1, Int.max])
  func refusedStack(_ size: Int) throws {
    try runLoop { loop, kernel in
      let pool = ThreadPoolExecutor(maxWorkers: 1, stackSize: size)
      let error = await thrown { try await loop.runInExecutor(pool) {} }
      #expect(error is IOError)
      pool.shutdown()
    }
  }

  @Test("a pool may be allowed any number of threads")
  func manyThreads() throws {
    try runLoop { loop, kernel in
      let pool = ThreadPoolExecutor(maxWorkers: .max)
      let seven = try await loop.runInExecutor(pool) { 7 }
      #expect(seven == 7)
      #expect(pool.counts.threads == 1)
      pool.shutdown()
    }
  }
}
