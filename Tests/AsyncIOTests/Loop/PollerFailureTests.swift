// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// A system that does not let a loop wait, or not even have what it waits with.
@Suite struct PollerFailureTests {
  @Test("the run ends with the error, and the loop may be run again: nothing that was scheduled is lost")
  func runsAgain() throws {
    try withLoop { loop, kernel in
      var log: [String] = []
      loop.callLater(.milliseconds(300)) {
        log.append("timer")
        loop.stop()
      }
      kernel.inject(.noMemory, into: .wait)
      let error = #expect(throws: EventLoopError.self) { try loop.runForever() }
      #expect(error == EventLoopError(.systemFailure, ""))
      #expect(error?.description.contains("poller failed: wait: Cannot allocate memory (ENOMEM)") == true)
      #expect(!loop.isRunning && !loop.isClosed && EventLoop.running == nil && log == [])
      // Also what comes from another thread in between, which finds nobody asleep.
      let remote = loop.remote
      let probe = Shared<[String]>([])
      TestThread { _ = try? remote.callSoonThreadsafe { _ in probe.withLock { $0.append("remote") } } }.join()
      try loop.runForever()
      #expect(log == ["timer"] && probe.current == ["remote"])
    }
  }

  @Test("a whole program ends with the error, and leaves nothing behind")
  func wholeProgram() throws {
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    let error = #expect(throws: EventLoopError.self) {
      try loop.runMain { loop in
        let server = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0)
        loop.createTask { try await server.waitClosed() }
        kernel.inject(.badFileDescriptor, into: .wait, times: .max)
        try await loop.sleep(for: .seconds(1000))
      }
    }
    #expect(error == EventLoopError(.systemFailure, ""))
    #expect(loop.isClosed && kernel.openDescriptors == [])
  }

  @Test("without descriptors there is no loop, and the call says so")
  func noPoller() throws {
    let kernel = TestKernel()
    kernel.inject(.tooManyOpenFiles, into: .makePoller)
    #expect(throws: IOError(.tooManyOpenFiles, "EventLoop.init")) { try EventLoop(kernel: kernel) }
  }
}
