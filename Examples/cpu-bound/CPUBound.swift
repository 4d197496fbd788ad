// SPDX-License-Identifier: Apache-2.0
// A computation on the loop itself, in a pool of threads and in a pool of processes, and how late the loop's timers are
// meanwhile: `swift run -c release cpu-bound`, with how far to count the primes if need be.
import AsyncIO
import AsyncIOProcessPool

/// Counts primes the slow way.
struct Primes: ProcessJob {
  var limit: Int

  func run() -> Int {
    var count = 0
    for number in 2..<limit {
      var divisor = 2
      while divisor * divisor <= number, number % divisor != 0 { divisor += 1 }
      if divisor * divisor > number { count += 1 }
    }
    return count
  }
}

@main
struct CPUBound {
  static let job = Primes(limit: CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_500_000)

  static func main() throws {
    // In a worker process this does not return.
    ProcessPoolExecutor.serveIfWorker(Primes.self)

    try EventLoop.run { loop in
      try await measure("on the loop", loop) { job.run() }

      let threads = ThreadPoolExecutor(maxWorkers: 2, threadNamePrefix: "primes")
      try await measure("in a pool of threads", loop) { try await loop.runInExecutor(threads) { job.run() } }
      threads.shutdown(wait: false)

      let processes = try ProcessPoolExecutor(loop, maxWorkers: 2)
      try await measure("in a pool of processes", loop) { try await loop.runInExecutor(processes, job) }
      // Only a process can be stopped in the middle of its work.
      let endless = loop.createTask { try await loop.runInExecutor(processes, Primes(limit: .max)) }
      try await loop.sleep(for: .milliseconds(50))
      endless.cancel()
      do {
        print("an endless job ended: \(try await endless.value)")
      } catch is CancellationError {
        print("an endless job was cancelled, and its process ended")
      }
      try await processes.shutdown()
    }
  }

  /// Does the work while a timer ticks each millisecond, and prints how late that was at the worst.
  static func measure(_ place: String, _ loop: EventLoop, _ work: () async throws -> Int) async throws {
    var worst = Duration.zero
    var timer: TimerHandle?
    func tick(due: EventLoop.Clock.Instant) {
      worst = max(worst, due.duration(to: loop.time))
      let next = loop.time.advanced(by: .milliseconds(1))
      timer = loop.callAt(next) { tick(due: next) }
    }
    tick(due: loop.time)
    try await loop.sleep(for: .milliseconds(5))
    let start = loop.time
    let count = try await work()
    let duration = start.duration(to: loop.time)
    // One more turn: after work on the loop itself, the timer has yet to find out how late it is.
    try await loop.sleep(for: .milliseconds(2))
    timer?.cancel()
    print("\(place): \(count) primes in \(milliseconds(duration)), timers at most \(milliseconds(worst)) late")
  }

  static func milliseconds(_ duration: Duration) -> String {
    "\((duration / .microseconds(100)).rounded() / 10) ms"
  }
}
