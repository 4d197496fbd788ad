// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOProcessPool
import Glibc

let executorSteps = [
  Step("blocking work on threads", blockingWork),
  Step("jobs in worker processes", workerProcesses),
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

/// Adds up numbers; a negative limit crashes.
struct Triangle: ProcessJob {
  var limit: Int

  func run() -> Int {
    if limit < 0 { _ = kill(getpid(), SIGKILL) }
    return (0...limit).reduce(0, +)
  }
}

@Sendable func workerProcesses(_ loop: EventLoop) async throws -> String {
  let pool = try ProcessPoolExecutor(loop, maxWorkers: 2)
  let tasks = (1...10).map { number in
    loop.createTask { try await loop.runInExecutor(pool, Triangle(limit: number)) }
  }
  var sum = 0
  for task in tasks { sum += try await task.value }
  try expect("sum", sum, is: 220)
  do {
    _ = try await pool.run(Triangle(limit: -1))
    throw Failure("a job survived its own end")
  } catch let error as ProcessPoolError {
    try expect("after a crash", try await pool.run(Triangle(limit: 4)), is: 10)
    try await pool.shutdown()
    return "10 jobs; then\(error.description.split(separator: ":").last.map(String.init) ?? ""), and was replaced"
  }
}
