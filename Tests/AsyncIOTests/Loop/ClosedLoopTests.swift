// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO
@testable import AsyncIOProcessPool

/// A closed loop refuses what it cannot do any more, and lets programs clean up.
@Suite struct ClosedLoopTests {
  /// Everything that throws, on a loop that was closed before.
  private static var calls: [(name: String, call: (EventLoop) async throws -> Void)] {
    [
      ("addReader", { loop in try loop.addReader(.standardInput) {} }),
      ("addWriter", { loop in try loop.addWriter(.standardOutput) {} }),
      ("addSignalHandler", { loop in try loop.addSignalHandler(.user1) {} }),
      ("sleep(for:)", { loop in try await loop.sleep(for: .zero) }),
      ("sleep(until:)", { loop in try await loop.sleep(until: loop.time) }),
      ("createConnection", { loop in _ = try await loop.createConnection(Recorder.init, host: "127.0.0.1", port: 1) }),
      ("createServer", { loop in _ = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0) }),
      ("createUnixServer", { loop in _ = try await loop.createUnixServer(Recorder.init, path: "/none") }),
      ("createUnixConnection", { loop in _ = try await loop.createUnixConnection(Recorder.init, path: "/none") }),
      (
        "createDatagramEndpoint",
        { loop in _ = try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: ("127.0.0.1", 0)) }
      ),
      ("openConnection", { loop in _ = try await loop.openConnection(host: "127.0.0.1", port: 1) }),
      ("startServer", { loop in _ = try await loop.startServer(host: "127.0.0.1", port: 0) { _, _ in } }),
      ("openReadPipe", { loop in _ = try await loop.openReadPipe(.standardInput) }),
      ("openWritePipe", { loop in _ = try await loop.openWritePipe(.standardOutput) }),
      ("createSubprocessExec", { loop in _ = try await loop.createSubprocessExec("/bin/true") }),
      ("getaddrinfo of a literal", { loop in _ = try await loop.getaddrinfo(host: "127.0.0.1", port: 1) }),
      ("getaddrinfo", { loop in _ = try await loop.getaddrinfo(host: "localhost", port: 1) }),
      ("getnameinfo", { loop in _ = try await loop.getnameinfo(SocketAddress(ip: "127.0.0.1", port: 1)!) }),
      ("runInExecutor", { loop in try await loop.runInExecutor {} }),
      ("sockRecv", { loop in _ = try await loop.sockRecv(try Socket.pair().0, 1) }),
      ("sockAccept", { loop in _ = try await loop.sockAccept(try Socket.pair().0) }),
      ("runForever", { loop in try loop.runForever() }),
      ("runUntilComplete", { loop in try loop.runUntilComplete {} }),
      ("Future.setResult", { loop in try Future<Void>(loop).setResult(()) }),
      ("Future.setError", { loop in try Future<Void>(loop).setError(TestError()) }),
      ("Future.value", { loop in try await Future<Void>(loop).value }),
      ("callSoonThreadsafe", { loop in try loop.remote.callSoonThreadsafe { _ in } }),
      ("remote.run", { loop in try await loop.remote.run { _ in } }),
      ("remote.stop", { loop in try loop.remote.stop() }),
    ]
  }

  @Test("a call that can throw throws that the loop is closed", arguments: calls.indices)
  func throwsClosed(_ index: Int) throws {
    let (name, call) = ClosedLoopTests.calls[index]
    let closed = try EventLoop()
    closed.close()
    try runLoop { _, _ in
      do {
        try await call(closed)
        Issue.record("\(name) does not throw")
      } catch {
        #expect(error as? EventLoopError == .closed, "\(name) throws \(error)")
      }
    }
  }

  @Test("a server that outlives its loop throws, and can be closed")
  func server() throws {
    let server = try runLoop { loop, _ in
      try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0, startServing: false)
    }
    #expect(throws: EventLoopError.self) { try server.startServing() }
    server.close()
    #expect(server.sockets.isEmpty)
  }

  @Test("clean-up after a close does no harm")
  func cleanUp() throws {
    var handle: Handle?
    var timer: TimerHandle?
    let (loop, future) = try withLoop { loop, _ in
      handle = loop.callSoon {}
      timer = loop.callLater(.seconds(1)) {}
      return (loop, Future<Int>(loop))
    }
    try #expect(!loop.removeReader(.standardInput))
    try #expect(!loop.removeWriter(.standardOutput))
    try #expect(!loop.removeSignalHandler(.user1))
    loop.stop()
    loop.close()
    handle?.cancel()
    timer?.cancel()
    loop.setExceptionHandler { _, _ in }
    loop.setDefaultExecutor(ThreadPoolExecutor(maxWorkers: 1))
    var calls = 0
    future.addDoneCallback { _ in calls += 1 }
    let isCancelled = future.cancel()
    #expect(isCancelled)
    #expect(future.isCancelled)
    #expect(!future.cancel())
    #expect(calls == 0, "a closed loop calls nobody back")
    #expect(!loop.isRunning)
  }

  @Test("the error names the call")
  func sentence() throws {
    let loop = try EventLoop()
    loop.close()
    let error = #expect(throws: EventLoopError.self) { try loop.addReader(.standardInput) {} }
    #expect(error?.description.contains("addReader: the event loop is closed") == true)
    #expect(error?.code.description == "closed")
  }

  @Test("every kind of error can be matched, and prints its name")
  func kinds() {
    let kinds: [EventLoopError] = [
      .closed, .alreadyRunning, .stoppedBeforeComplete, .interrupted, .foreignLoop, .descriptorInUse, .invalidState,
      .invalidArgument, .serverState, .invalidSignal, .signalInUse, .sendFileNotAvailable, .transportState,
      .executorShutDown, .queueShutDown, .brokenBarrier, .invalidEnvironment, .systemFailure,
    ]
    #expect(Set(kinds).count == kinds.count)
    for kind in kinds {
      let thrown = EventLoopError(kind.code, "a sentence of its own")
      #expect(kind ~= thrown && kind.code ~= thrown && thrown.code == kind.code)
      let isName = "\(kind.code)".allSatisfy { $0.isLetter }
      #expect(isName)
      #expect(kinds.filter { $0 ~= thrown }.count == 1)
    }
  }

  @Test("The codes of errors match what is thrown with them, and nothing else, and print their names")
  func codes() throws {
    func kind(_ error: any Error) -> String {
      do { throw error } catch TLSError.Code.truncated { return "truncated" } catch TLSError.Code.certificate {
        return "certificate"
      } catch ProcessPoolError.Code.workerDied {
        return "workerDied"
      } catch EventLoopError.Code.closed {
        return "closed"
      } catch {
        return "another"
      }
    }
    #expect(kind(TLSError(.truncated, "cut")) == "truncated" && kind(TLSError(.certificate, "old")) == "certificate")
    #expect(kind(TLSError(.broken, "bad")) == "another" && kind(EventLoopError.closed) == "closed")
    #expect(kind(EventLoopError.foreignLoop) == "another" && kind(TestError(number: 1)) == "another")
    #expect(kind(ProcessPoolError(.workerDied, "gone")) == "workerDied")
    #expect(kind(ProcessPoolError(.tooLarge, "long")) == "another")
    #expect("\(TLSError.Code.truncated) \(ProcessPoolError.Code.workerDied)" == "truncated workerDied")
  }
}
