// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Glibc

let executorSteps = [
  Step("blocking work on threads", blockingWork)
]

@Sendable func blockingWork(_ loop: EventLoop) async throws -> String {
  let pool = ThreadPoolExecutor(maxWorkers: 4, threadNamePrefix: "tour")
  defer { pool.shutdown(wait: false) }
  var turns = 0
  var timer: TimerHandle?
  func tick() {
    turns += 1
    timer = loop.callLater(.milliseconds(1), tick)
  }
  tick()
  let start = loop.time
  let tasks = (0..<4).map { number in
    loop.createTask {
      try await loop.runInExecutor(pool) {
        usleep(20_000)
        return number
      }
    }
  }
  var sum = 0
  for task in tasks { sum += try await task.value }
  timer?.cancel()
  try expect("sum", sum, is: 6)
  try expect(turns > 2, "the loop stood still")
  let passed = start.duration(to: loop.time).milliseconds
  return "4 blocks of 20 ms on 4 threads in \(passed), \(turns) ticks of the loop meanwhile"
}
