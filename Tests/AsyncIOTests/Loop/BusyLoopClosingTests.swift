// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Testing

@testable import AsyncIO

@Suite("The close of a busy loop") struct BusyLoopClosingTests {
  @Test("close() with everything under way lets go of all of it, and the late answers of threads do nothing")
  func everythingUnderWay() throws {
    let gate = ThreadGate()
    let late = DispatchSemaphore(value: 0)
    let released = Boxed(0)
    let used = Boxed<TestKernel?>(nil)
    try withLoop { loop, kernel in
      used.value = kernel
      kernel.answerLookUps { query throws(ResolutionError) in
        gate.pass()
        late.signal()
        return addresses(["127.0.0.1"], 80)
      }
      var underWay = 0
      func start(_ body: @escaping () async throws -> Void) {
        loop.createTask {
          try await body()
          Issue.record("a task has gone on")
        }
      }
      start { _ = try await loop.getaddrinfo(host: "name.test", port: 80) }
      start {
        try await loop.runInExecutor {
          gate.pass()
          late.signal()
        }
      }
      start {
        let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, _ in
          underWay += 1
          _ = try await reader.read()
        }
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
        writer.write(pattern(plenty))
        underWay += 1
        _ = try await reader.read()
      }
      start {
        let process = try await loop.createSubprocessExec("sleep", ["1000"], stdin: .pipe, stdout: .pipe)
        underWay += 1
        try await process.communicate()
      }
      start {
        let (transport, _) = try await loop.createDatagramEndpoint(
          { DatagramRecorder() }, localAddress: ("127.0.0.1", 0))
        underWay += 1
        try await Future<Void>(loop).value
        transport.close()
      }
      start { try await loop.withTimeout(.seconds(1000)) { try await loop.sleep(for: .seconds(1000)) } }
      let probe = ReleaseProbe { released.value += 1 }
      loop.callLater(.seconds(1000)) { [probe] in probe.touch() }
      func look() {
        guard underWay == 4, kernel.count(of: .lookUp) == 1 else {
          loop.callLater(.milliseconds(1)) { look() }
          return
        }
        loop.stop()
        let queued = ReleaseProbe { released.value += 1 }
        loop.callSoon { queued.touch() }
      }
      loop.callSoon { look() }
      try loop.runForever()
      loop.close()
      gate.open()
      for _ in 0..<2 { #expect(late.wait(timeout: .now() + 20) == .success) }
      loop.close()
    }
    #expect(released.value >= 1)
    used.value?.expectNoChildren()
  }
}
