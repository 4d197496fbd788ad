// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

@Suite struct DefaultExecutorTests {
  @Test("the default executor is made when it is first needed, and kept") func lazy() throws {
    try runLoop { loop, _ in
      #expect(loop.defaultExecutor == nil)
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      try await loop.runInExecutor(pool) {}
      #expect(loop.defaultExecutor == nil)
      #expect(try await loop.runInExecutor { threadName() } == "asyncio_0")
      let first = try #require(loop.defaultExecutor as? ThreadPoolExecutor)
      #expect(first.maxWorkers == ThreadPoolExecutor().maxWorkers)
      try await loop.runInExecutor {}
      #expect(loop.defaultExecutor as? ThreadPoolExecutor === first)
    }
  }

  @Test("close shuts the default executor down without waiting") func close() throws {
    let gate = Gate()
    let ended = DispatchSemaphore(value: 0)
    var pool: ThreadPoolExecutor?
    try withLoop { loop, _ in
      loop.createTask {
        try await loop.runInExecutor {
          gate.pass()
          ended.signal()
        }
      }
      loop.createTask {
        try await loop.until { loop.defaultExecutor != nil }
        pool = loop.defaultExecutor as? ThreadPoolExecutor
        loop.stop()
      }
      try loop.runForever()
      loop.close()
      #expect(loop.defaultExecutor == nil)
    }
    let used = try #require(pool)
    #expect(throws: EventLoopError.executorShutDown) { try used.submit {} }
    #expect(ended.wait(timeout: .now()) == .timedOut)
    gate.open()
    try arrives(ended)
    used.shutdown()
  }

  @Test("shutdownDefaultExecutor waits for all work, and the default executor is gone for good") func shutdown()
    throws
  {
    try runLoop { loop, _ in
      loop.setDefaultExecutor(ThreadPoolExecutor(maxWorkers: 1))
      let gate = Gate()
      let order = Shared<[String]>([])
      let work = ["first", "second"].map { name in
        loop.createTask {
          try await loop.runInExecutor {
            gate.pass()
            order.withLock { $0.append(name) }
          }
        }
      }
      try await loop.until { (loop.defaultExecutor as? ThreadPoolExecutor)?.counts.queued == 1 }
      let shutdowns = (0..<2).map { _ in
        loop.createTask {
          try await loop.shutdownDefaultExecutor(timeout: .seconds(1000))
          order.withLock { $0.append("shut down") }
        }
      }
      try await loop.turn()
      #expect(await thrown { try await loop.runInExecutor {} } as? EventLoopError == .executorShutDown)
      #expect(order.current == [])
      gate.open()
      for task in work + shutdowns { try await task.value }
      #expect(order.current == ["first", "second", "shut down", "shut down"])

      let error = await thrown { try await loop.runInExecutor {} }
      #expect((error as? EventLoopError)?.description == "runInExecutor: the default executor was shut down")
      // Also one that is set now; others go on.
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      loop.setDefaultExecutor(pool)
      #expect(await thrown { try await loop.runInExecutor {} } as? EventLoopError == .executorShutDown)
      #expect(try await loop.runInExecutor(pool) { 1 } == 1)
    }
  }

  @Test("without a default executor there is nothing to wait for, and none is made any more") func shutdownOfNone()
    throws
  {
    try runLoop { loop, _ in
      try await loop.shutdownDefaultExecutor()
      try await loop.shutdownDefaultExecutor(timeout: .seconds(1))
      #expect(loop.defaultExecutor == nil)
      #expect(await thrown { try await loop.runInExecutor {} } as? EventLoopError == .executorShutDown)
    }
  }

  @Test("a shutdown that takes too long is given up, with a warning") func shutdownTimesOut() throws {
    try runLoop { loop, kernel in
      let gate = Gate()
      let hasEnded = Shared(false)
      let work = loop.createTask {
        try await loop.runInExecutor {
          gate.pass()
          hasEnded.withLock { $0 = true }
        }
      }
      try await loop.until { loop.defaultExecutor != nil }
      let shutdown = loop.createTask { try await loop.shutdownDefaultExecutor(timeout: .milliseconds(4711)) }
      try await loop.turn()
      let warning = "the default executor still has work after 4.711 seconds, which is abandoned"
      #expect(CapturedLog.matching(warning) == [])
      kernel.advanceClock(by: .milliseconds(4711))
      try await shutdown.value
      #expect(CapturedLog.matching(warning) == ["warning: " + warning])
      #expect(!hasEnded.current)
      gate.open()
      try await work.value
      #expect(hasEnded.current)
    }
  }

  @Test("cancelling a shutdown ends the wait for it alone") func shutdownCancelled() throws {
    try runLoop { loop, kernel in
      let gate = Gate()
      let work = loop.createTask { try await loop.runInExecutor { gate.pass() } }
      try await loop.until { loop.defaultExecutor != nil }
      let shutdown = loop.createTask { try await loop.shutdownDefaultExecutor(timeout: .milliseconds(5555)) }
      try await loop.turn()
      shutdown.cancel()
      #expect(await thrown { try await shutdown.value } is CancellationError)
      kernel.advanceClock(by: .seconds(6))
      try await loop.turn()
      #expect(CapturedLog.matching("5.555") == [])
      #expect(await thrown { try await loop.runInExecutor {} } as? EventLoopError == .executorShutDown)
      gate.open()
      try await work.value
      try await loop.shutdownDefaultExecutor()
    }
  }

  @Test("the default executor can be set; the loop shuts that one down when it closes, not the one before")
  func setDefault() throws {
    let (first, second) = (CustomExecutor { $0.run() }, CustomExecutor { $0.run() })
    try withLoop { loop, _ in
      loop.setDefaultExecutor(first)
      try loop.runUntilComplete { try await loop.runInExecutor {} }
      loop.setDefaultExecutor(second)
      #expect(loop.defaultExecutor as? CustomExecutor === second)
      loop.close()
    }
    #expect(first.shutdowns.current == [])
    #expect(second.shutdowns.current == [false])
  }

  // MARK: The end of a run

  private func run(
    _ timeout: Duration?, _ body: @escaping (EventLoop, TestKernel) async throws -> Void
  ) throws {
    CapturedLog.install()
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    try loop.runMain(executorShutdownTimeout: timeout) { try await body($0, kernel) }
    #expect(kernel.openDescriptors == [])
  }

  @Test("a run waits at its end for work in the default executor, though its task was cancelled")
  func runWaits() throws {
    let hasEnded = Shared(false)
    try run(nil) { loop, _ in
      let gate = Gate()
      let hasBegun = Shared(false)
      loop.createTask {
        try await loop.runInExecutor {
          hasBegun.withLock { $0 = true }
          gate.pass()
          hasEnded.withLock { $0 = true }
        }
      }
      try await loop.until { hasBegun.current }
      // When the loop waits for the executor, and not before; a stop does not end that.
      loop.callLater(.milliseconds(2)) { loop.stop() }
      loop.callLater(.milliseconds(4)) {
        #expect(!hasEnded.current)
        gate.open()
      }
    }
    #expect(hasEnded.current)
  }

  @Test(
    "a run that is told not to wait ends while work hangs", arguments: [.zero, .milliseconds(3)] as [Duration])
  func runDoesNotWait(timeout: Duration) throws {
    let gate = Gate()
    let ended = DispatchSemaphore(value: 0)
    try run(timeout) { loop, _ in
      let hasBegun = Shared(false)
      loop.createTask {
        try await loop.runInExecutor {
          hasBegun.withLock { $0 = true }
          gate.pass()
          ended.signal()
        }
      }
      try await loop.until { hasBegun.current }
    }
    #expect(ended.wait(timeout: .now()) == .timedOut)
    gate.open()
    try arrives(ended)
  }

  @Test("a run waits for five minutes, unless its configuration says otherwise") func configuration() throws {
    #expect(EventLoop.Configuration().executorShutdownTimeout == .seconds(300))
    var configuration = EventLoop.Configuration()
    configuration.executorShutdownTimeout = .zero
    let gate = Gate()
    try EventLoop.run(configuration) { loop in
      loop.createTask { try await loop.runInExecutor { gate.pass() } }
      try await loop.until { loop.defaultExecutor != nil }
    }
  }

  @Test("the process ends while work hangs") func processEnds() async {
    await #expect(processExitsWith: .success) {
      var configuration = EventLoop.Configuration()
      configuration.executorShutdownTimeout = .milliseconds(1)
      func program() throws {
        try EventLoop.run(configuration) { loop in
          loop.createTask { try await loop.runInExecutor { DispatchSemaphore(value: 0).wait() } }
          while loop.defaultExecutor == nil { try await loop.sleep(for: .zero) }
        }
      }
      try program()
    }
  }
}
