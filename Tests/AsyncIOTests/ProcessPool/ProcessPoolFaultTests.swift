// SPDX-License-Identifier: Apache-2.0
import AsyncIOProcessPool
import Foundation
import PoolJobs
import SystemPackage
import Testing

@testable import AsyncIO

/// Workers that do what they should not, and pools that end at an inconvenient time.
@Suite struct ProcessPoolFaultTests {
  /// Lends a pool of a program, and ends it; no child may be left.
  private func withPool(
    maxWorkers: Int = 1, program: FilePath? = nil, startTimeout: Duration = .seconds(25),
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: @escaping (EventLoop, TestKernel, ProcessPoolExecutor) async throws -> Void
  ) throws {
    try runProcessLoop(sourceLocation: sourceLocation) { loop, kernel in
      let pool = try ProcessPoolExecutor(
        loop, maxWorkers: maxWorkers, executable: try program ?? poolProbe(), startTimeout: startTimeout)
      try await body(loop, kernel, pool)
      pool.terminate()
      try await pool.shutdown()
      #expect(pool.workerProcesses == [])
    }
  }

  // MARK: Answers

  @Test("a second answer to a job is not taken for the next job's") func secondAnswer() throws {
    let folder = try TemporaryFolder()
    try withPool { (loop, _, pool) async throws in
      // The pool's first job has the number 0. It answers by itself, and again when it is let go on.
      #expect(try await pool.run(Forges(number: 0, output: 7, until: folder.path(of: "go"))) == 7)
      let next = loop.createTask { try await pool.run(Square(5)) }
      try await loop.turn()
      try folder.file([], name: "go").close()
      let error = try await poolError { try await next.value }
      #expect(error.code == .workerDied && error.description.contains("sent an answer that nobody waits for"))
      #expect(try await pool.run(Square(6)) == 36)
    }
  }

  @Test("an answer of an idle worker ends it, and harms no job") func unaskedAnswer() throws {
    let folder = try TemporaryFolder()
    try withPool { (loop, kernel, pool) async throws in
      let pid = try await pool.run(Surroundings()).pid
      #expect(try await pool.run(Forges(number: 1, output: 7, until: folder.path(of: "go"))) == 7)
      // What waits for a condition looks in each iteration then.
      kernel.stopClock()
      let receives = kernel.count(of: .receive)
      try folder.file([], name: "go").close()
      try await loop.until("the answer comes") { kernel.count(of: .receive) > receives }
      // Before the worker is gone.
      #expect(try await pool.run(Surroundings()).pid != pid)
    }
  }

  @Test("an answer to a job that the worker was not given fails its own") func foreignAnswer() throws {
    let folder = try TemporaryFolder()
    try withPool { (loop, _, pool) async throws in
      let forging = loop.createTask { try await pool.run(Forges(number: 1, output: 7, until: folder.path(of: "go"))) }
      let waiting = loop.createTask { try await pool.run(Square(5)) }
      let error = try await poolError { try await forging.value }
      #expect(error.code == .workerDied && error.description.contains("sent an answer that nobody waits for"))
      #expect(try await waiting.value == 25)
    }
  }

  @Test("a job's name that no frame can hold is one that no worker can know") func longName() throws {
    try withPool { (_, _, pool) async throws in
      for length in [0, 65_535, 65_536, 1 << 20] {
        LongName.length = length
        #expect(try await poolError { try await pool.run(LongName()) }.code == .unregisteredJob)
        #expect(try await pool.run(Square(6)) == 36)
      }
    }
  }

  // MARK: The end, during a start

  @Test("terminating a pool at any moment of a worker's start ends the worker and the shutdown", arguments: 1..<13)
  func terminatedDuringStart(turns: Int) throws {
    try runProcessLoop { loop, kernel in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 2, executable: try poolProbe(), startTimeout: .seconds(1000))
      let jobs = (0..<2).map { number in loop.createTask { try await pool.run(Square(number)) } }
      try await loop.turn(turns)
      pool.terminate()
      try await pool.shutdown()
      for job in jobs { #expect(await thrown { try await job.value } is CancellationError) }
      #expect(pool.workerProcesses == [] && pool.workerCount == 0)
      #expect(kernel.children.current == [], "what was started has been killed and reaped")
    }
  }

  @Test("a shutdown while a worker starts for a job that was cancelled ends it too", arguments: 1..<9)
  func shutDownDuringStart(turns: Int) throws {
    try runProcessLoop { loop, kernel in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 1, executable: try poolProbe(), startTimeout: .seconds(1000))
      let job = loop.createTask { try await pool.run(Square(1)) }
      try await loop.turn(turns)
      job.cancel()
      _ = await job.outcome
      try await pool.shutdown()
      #expect(pool.workerProcesses == [] && kernel.children.current == [])
    }
  }

  @Test("a worker that was not started yet when the pool ended is not started") func endedBeforeStart() throws {
    try runProcessLoop { loop, kernel in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 1, executable: try poolProbe())
      let job = loop.createTask { try await pool.run(Square(1)) }
      loop.callSoon { pool.terminate() }
      #expect(await thrown { try await job.value } is CancellationError)
      try await pool.shutdown()
      #expect(kernel.count(of: .spawn) == 0)
    }
  }

  // MARK: Limits

  @Test("a worker has its time to say hello, and not a moment more") func startTimeout() throws {
    let folder = try TemporaryFolder()
    let program = try ProcessPoolStartTests.probe(as: "silent", in: folder)
    try withPool(program: program, startTimeout: .seconds(7)) { (loop, kernel, pool) async throws in
      kernel.stopClock()
      var error: (any Error)?
      let job = loop.createTask { error = await thrown { try await pool.run(Square(1)) } }
      try await loop.until { !pool.workerProcesses.isEmpty }
      try await loop.expect(after: .seconds(7), on: kernel) { error != nil }
      #expect((error as? ProcessPoolError)?.code == .startFailed)
      _ = await job.outcome
    }
  }

  @Test("a worker that has said hello in time may be idle for as long as it likes") func noTimeoutLater() throws {
    try withPool(startTimeout: .seconds(50)) { (loop, kernel, pool) async throws in
      let pid = try await pool.run(Surroundings()).pid
      kernel.advanceClock(by: .seconds(51))
      try await loop.turn(10)
      #expect(try await pool.run(Surroundings()).pid == pid)
    }
  }

  @Test("a worker that was dismissed has five seconds to end") func dismissalTimeout() throws {
    let folder = try TemporaryFolder()
    let program = try ProcessPoolStartTests.probe(as: "stubborn", in: folder)
    try withPool(program: program) { (loop, kernel, pool) async throws in
      kernel.stopClock()
      // Taken back before the worker can have it, which is idle then.
      let job = loop.createTask { try await pool.run(Square(1)) }
      try await loop.turn()
      job.cancel()
      _ = await job.outcome
      try await loop.until("it has said hello") { kernel.count(of: .receive) > 0 }
      try await loop.turn()
      let shutdown = loop.createTask { try await pool.shutdown() }
      try await loop.turn(10)
      try await loop.expect(after: .seconds(5), on: kernel) { kernel.children.current == [] }
      try await shutdown.value
    }
  }

  @Test("a worker that is gone has a second for what it sent before, though a child of its own holds the connection")
  func leftoverTimeout() throws {
    let folder = try TemporaryFolder()
    try withPool { (loop, kernel, pool) async throws in
      kernel.stopClock()
      var error: (any Error)?
      let job = loop.createTask {
        error = await thrown { try await pool.run(LeavesChild(path: folder.path(of: "pid"))) }
      }
      try await loop.until("the worker is gone") { folder.exists("pid") && kernel.children.current == [] }
      try await loop.turn(10)
      try await loop.expect(after: .seconds(1), on: kernel) { error != nil }
      #expect("\(String(describing: error))".contains("ended with exit code 3"))
      _ = await job.outcome
      let child = try String(contentsOfFile: folder.path(of: "pid"), encoding: .utf8)
      kill(try #require(Int32(child)), SIGKILL)
    }
  }
}
