// SPDX-License-Identifier: Apache-2.0
import AsyncIOProcessPool
import Foundation
import PoolJobs
import SystemPackage
import Testing

@testable import AsyncIO

/// Lends a pool of the probe's, and waits for its workers' end.
private func withPool(
  maxWorkers: Int = 2, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: @escaping (EventLoop, ProcessPoolExecutor) async throws -> Void
) throws {
  try runLoop(sourceLocation: sourceLocation) { loop, _ in
    let pool = try ProcessPoolExecutor(
      loop, maxWorkers: maxWorkers, executable: try poolProbe(), startTimeout: .seconds(25))
    try await body(loop, pool)
    pool.terminate()
    try await pool.shutdown()
    #expect(pool.workerProcesses == [])
  }
}

/// Whether a process is there; a zombie is.
private func exists(_ pid: Int32) -> Bool { kill(pid, 0) == 0 }

@Suite struct ProcessPoolTests {
  @Test("a job is done in another process") func job() throws {
    try withPool { (loop, pool) async throws in
      #expect(pool.workerCount == 0)
      #expect(try await loop.runInExecutor(pool, Square(12)) == 144)
      let surroundings = try await pool.run(Surroundings())
      #expect(surroundings.pid != getpid() && surroundings.parent == getpid())
      #expect(pool.workerProcesses == [surroundings.pid])
      let error = await thrown { try await loop.runInExecutor(pool, Fails()) }
      let failure = try #require(error as? RemoteJobError)
      #expect(failure.typeName == "PoolJobs.PoolJobError" && failure.message == "it did not work")
      #expect(failure.description == "it did not work (PoolJobs.PoolJobError, in a worker process)")
      // It survives its errors.
      #expect(try await pool.run(Surroundings()).pid == surroundings.pid)
      #expect(pool.workerCount == 1)
    }
  }

  @Test("a worker has its standard streams and its end of the socket, and leaves SIGINT to us") func surroundings()
    throws
  {
    try withPool { (loop, pool) async throws in
      let surroundings = try await pool.run(Surroundings())
      #expect(surroundings.descriptors == [0, 1, 2, 3])
      #expect(surroundings.closesOnExec)
      #expect(surroundings.standardInput == "/dev/null")
      #expect(surroundings.ignoresInterrupt)
      #expect(surroundings.isMainThread)
    }
  }

  @Test("values arrive as they were") func values() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let numbers = [0.1, -0.0, 1e308, .leastNonzeroMagnitude, .infinity, -.infinity, 1.0 / 3]
      let value = Echo.Value(
        text: "\u{0}\"\\ \u{1F600} e\u{301}", numbers: numbers, large: .max, nothing: nil, bytes: Array(0...255))
      #expect(try await pool.run(Echo(value)) == value)
      let nan = Echo.Value(text: "", numbers: [.nan], large: 0, nothing: 1, bytes: [])
      let back = try await pool.run(Echo(nan))
      #expect(back.numbers[0].isNaN && back.nothing == 1)
      #expect(try await pool.run(Nothing()) == nil)
    }
  }

  @Test("a large job and its large output go through") func large() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let value = Echo.Value(
        text: String(repeating: "0123456789abcdef", count: 200_000), numbers: [], large: 0, nothing: nil, bytes: [])
      #expect(try await pool.run(Echo(value)) == value)
    }
  }

  @Test("an output that cannot be encoded, or not be decoded, is an error of the job alone") func badOutput() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let error = await thrown { try await pool.run(BadOutput(failsInWorker: true)) }
      #expect((error as? RemoteJobError)?.typeName == "PoolJobs.PoolJobError")
      #expect(await thrown { try await pool.run(BadOutput(failsInWorker: false)) } is DecodingError)
      #expect(try await pool.run(Square(3)) == 9)
    }
  }

  @Test("a job of a type that the worker does not know is told so") func unregistered() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let error = try await poolError { try await pool.run(Unregistered()) }
      #expect(error.code == .unregisteredJob)
      #expect(error.description == "PoolJobs.Unregistered is not among the jobs that serveIfWorker was called with")
      #expect(try await pool.run(Square(3)) == 9)
    }
  }

  @Test("many jobs on few workers: each has its own answer") func many() throws {
    try withPool(maxWorkers: 3) { (loop, pool) async throws in
      let tasks = (0..<300).map { number in loop.createTask { try await pool.run(Square(number)) } }
      for (number, task) in tasks.enumerated() { #expect(try await task.value == number * number) }
      #expect((1...3).contains(pool.workerCount))
    }
  }

  @Test(
    "a worker that dies fails its job, says how it died, and is replaced",
    arguments: [SIGTERM, SIGKILL, nil] as [Int32?])
  func dies(signal: Int32?) throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let first = try await pool.run(Surroundings()).pid
      let dying = loop.createTask { try await pool.run(Dies(signal: signal)) }
      let next = loop.createTask { try await pool.run(Surroundings()) }
      let error = try await poolError { try await dying.value }
      let end =
        switch signal {
        case SIGTERM: "was killed by SIGTERM (Terminated)"
        case SIGKILL: "was killed by SIGKILL (Killed)"
        default: "ended with exit code 3"
        }
      #expect(error.code == .workerDied)
      #expect(error.description == "PoolJobs.Dies: process \(first) \(end)")
      #expect(try await next.value.pid != first)
      #expect(!exists(first))
    }
  }

  @Test("an idle worker that dies is replaced when there is a job") func idleDeath() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let first = try await pool.run(Surroundings()).pid
      kill(first, SIGKILL)
      try await loop.until { pool.workerCount == 0 }
      #expect(try await pool.run(Surroundings()).pid != first)
    }
  }

  @Test("a worker that sends what is no answer fails its job, and is replaced") func garbles() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let error = try await poolError { try await pool.run(Garbles()) }
      #expect(error.code == .workerDied && error.description.contains("sent what is no answer"))
      #expect(try await pool.run(Square(3)) == 9)
    }
  }

  @Test("cancelling a job that is being done kills its worker, and the next is done by another") func cancelRunning()
    throws
  {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let folder = try TemporaryFolder()
      let pid = try await pool.run(Surroundings()).pid
      let job = WaitsForFile(begun: folder.path(of: "begun"), path: folder.path(of: "never"))
      let task = loop.createTask { try await pool.run(job) }
      try await loop.until { folder.exists("begun") }
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      try await loop.until("the worker is gone") { !exists(pid) }
      #expect(try await pool.run(Surroundings()).pid != pid)
    }
  }

  @Test("cancelling a job that waits takes it back, and leaves the worker alone") func cancelWaiting() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let folder = try TemporaryFolder()
      let pid = try await pool.run(Surroundings()).pid
      let first = loop.createTask {
        try await pool.run(WaitsForFile(begun: folder.path(of: "begun"), path: folder.path(of: "go")))
      }
      let second = loop.createTask {
        try await pool.run(WaitsForFile(begun: folder.path(of: "second"), path: folder.path(of: "go")))
      }
      try await loop.until { folder.exists("begun") }
      second.cancel()
      #expect(await thrown { try await second.value } is CancellationError)
      try folder.file([], name: "go").close()
      #expect(try await first.value == pid)
      #expect(try await pool.run(Surroundings()).pid == pid)
      #expect(!folder.exists("second"))
    }
  }

  @Test("a shutdown waits for what is there, takes no more, and leaves no process") func shutdown() throws {
    try runLoop { loop, _ in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 2, executable: try poolProbe())
      let tasks = (0..<6).map { number in loop.createTask { try await pool.run(Square(number)) } }
      try await loop.until { !pool.workerProcesses.isEmpty }
      let ended = loop.createTask { try await pool.shutdown() }
      try await loop.turn()
      #expect(try await poolError { try await pool.run(Square(1)) }.code == .shutDown)
      for (number, task) in tasks.enumerated() { #expect(try await task.value == number * number) }
      let pids = pool.workerProcesses
      try await ended.value
      #expect(pool.workerProcesses == [] && pool.workerCount == 0)
      for pid in pids { #expect(!exists(pid)) }
      try await pool.shutdown()
    }
  }

  @Test("a shutdown of a pool that was never used is done at once") func shutdownUnused() throws {
    try runLoop { loop, _ in
      let pool = try ProcessPoolExecutor(loop, executable: try poolProbe())
      #expect(pool.maxWorkers == Environment.processorCount)
      try await pool.shutdown()
      #expect(try await poolError { try await pool.run(Square(1)) }.code == .shutDown)
    }
  }

  @Test("a shutdown can cancel what has not begun; terminating stops everything") func shutdownCancels() throws {
    try withPool(maxWorkers: 1) { (loop, pool) async throws in
      let folder = try TemporaryFolder()
      let running = loop.createTask {
        try await pool.run(WaitsForFile(begun: folder.path(of: "begun"), path: folder.path(of: "never")))
      }
      let waiting = loop.createTask { try await pool.run(Square(1)) }
      try await loop.until { folder.exists("begun") }
      let pids = pool.workerProcesses
      let ended = loop.createTask { try await pool.shutdown(cancelPending: true) }
      #expect(await thrown { try await waiting.value } is CancellationError)
      #expect(pool.workerCount == 1)
      pool.terminate()
      #expect(await thrown { try await running.value } is CancellationError)
      try await ended.value
      for pid in pids { #expect(!exists(pid)) }
    }
  }

  @Test("a pool that is dropped ends its workers") func dropped() throws {
    try runLoop { loop, _ in
      weak var observed: ProcessPoolExecutor?
      var pid: Int32 = 0
      func use() async throws {
        let pool = try ProcessPoolExecutor(loop, maxWorkers: 1, executable: try poolProbe())
        observed = pool
        pid = try await pool.run(Surroundings()).pid
      }
      try await use()
      #expect(observed == nil)
      try await loop.until { !exists(pid) }
    }
  }

  @Test("a loop that is closed with a pool leaves no process behind") func loopCloses() throws {
    var pids: [Int32] = []
    let folder = try TemporaryFolder()
    var kept: ProcessPoolExecutor?
    try runLoop { loop, _ in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 2, executable: try poolProbe())
      kept = pool
      _ = try await pool.run(Square(1))
      loop.createTask {
        try await pool.run(WaitsForFile(begun: folder.path(of: "begun"), path: folder.path(of: "never")))
      }
      try await loop.until { folder.exists("begun") }
      pids = pool.workerProcesses
    }
    #expect(!pids.isEmpty)
    try eventually { pids.allSatisfy { !exists($0) } }
    withExtendedLifetime(kept) {}
  }

  @Test("a job for a pool of another loop is refused") func foreignLoop() throws {
    let other = try EventLoop(kernel: TestKernel())
    defer { other.close() }
    let pool = try ProcessPoolExecutor(other, executable: try poolProbe())
    try runLoop { loop, _ in
      #expect(await thrown { try await loop.runInExecutor(pool, Square(1)) } as? EventLoopError == .foreignLoop)
    }
  }
}
