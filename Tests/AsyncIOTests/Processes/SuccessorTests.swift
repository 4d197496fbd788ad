// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SuccessorTests {
  /// Says to the predecessor that the successor is ready.
  private static let ready = "eval \"printf x >&$ASYNCIO_READY_FD\"; "

  private static func server(_ loop: EventLoop) async throws -> Server {
    try await loop.startServer(host: "127.0.0.1", port: 0) { _, writer in try await writer.send("old\n") }
  }

  /// Starts a shell as successor.
  private static func start(
    _ loop: EventLoop, _ script: String, passing servers: KeyValuePairs<String, Server> = [:],
    timeout: Duration = .seconds(20), options: SubprocessOptions = SubprocessOptions()
  ) async throws -> ChildProcess {
    try await loop.startSuccessor("/bin/sh", ["-c", script], passing: servers, timeout: timeout, options: options)
  }

  @Test("A successor that is ready has the sockets, and runs on when the loop has ended")
  func outlivesLoop() throws {
    let used = Boxed<TestKernel?>(nil)
    let folder = try TemporaryFolder()
    let pid = try runLoop { loop, kernel in
      used.value = kernel
      let (first, second) = (try await SuccessorTests.server(loop), try await SuccessorTests.server(loop))
      let script = """
        [ $LISTEN_PID = $$ ] && [ "$LISTEN_FDS $LISTEN_FDNAMES" = "2 a:b" ] && [ -S /proc/$$/fd/3 ] || exit 9
        trap "echo >\(folder.path(of: "alive"))" USR1
        \(SuccessorTests.ready) while :; do sleep 0.01; done
        """
      let successor = try await SuccessorTests.start(loop, script, passing: ["a": first, "b": second])
      #expect(successor.returnCode == nil)
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: first.port)
      #expect(try await reader.readLine() == Array("old\n".utf8), "this process serves until it is told otherwise")
      writer.close()
      for server in [first, second] { try await server.shutdown(gracePeriod: .seconds(20)) }
      // The successor holds the sockets: nobody is refused, though nobody accepts.
      let (_, waiting) = try await loop.openConnection(host: "127.0.0.1", port: first.port)
      waiting.close()
      return successor.pid
    }
    defer {
      kill(pid, SIGKILL)
      used.value?.expectNoChildren()
    }
    // One that is being killed exists for a while, but answers nothing.
    kill(pid, SIGUSR1)
    let deadline = ContinuousClock.now + .seconds(20)
    while !folder.exists("alive"), ContinuousClock.now < deadline { sched_yield() }
    #expect(folder.exists("alive"))
  }

  @Test("The end of a successor is reaped by the loop that waits for it, before and after readiness")
  func reaped() throws {
    try runProcessLoop { loop, kernel in
      let successor = try await SuccessorTests.start(loop, SuccessorTests.ready + "read line; exit 5")
      #expect(try await successor.wait() == 5)
    }
  }

  @Test(
    "A successor that ends before it is ready is an error that tells how, and this process serves on",
    arguments: [
      ("exit 3", 3, "with status 3"), ("kill -KILL $$", -9, "by SIGKILL (Killed)"), ("exit 0", 0, "with status 0"),
    ])
  func ended(script: String, code: Int32, end: String) throws {
    try runProcessLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await loop.startUnixServer(path: folder.path(of: "s")) { _, writer in
        try await writer.send("old\n")
      }
      let error = await #expect(throws: SuccessorError.self) {
        _ = try await SuccessorTests.start(loop, script, passing: ["s": server])
      }
      #expect(error?.returnCode == code)
      #expect(error?.description.hasSuffix("ended \(end) before it was ready") == true)
      let (reader, writer) = try await loop.openUnixConnection(path: folder.path(of: "s"))
      #expect(try await reader.readLine() == Array("old\n".utf8))
      writer.close()
      try await server.shutdown(gracePeriod: .seconds(20))
      #expect(!folder.exists("s"), "the file is this process's, as before")
    }
  }

  @Test("The file of a unix socket is the successor's, and stays when this process closes")
  func files() throws {
    try runProcessLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "s")
      let server = try await loop.startUnixServer(path: path) { _, _ in }
      let successor = try await SuccessorTests.start(
        loop, SuccessorTests.ready + "exec sleep 1000", passing: ["s": server])
      defer { try? successor.kill() }
      server.close()
      #expect(folder.exists("s"))
      let (_, writer) = try await loop.openUnixConnection(path: path)
      writer.close()
      try successor.kill()
      try await successor.wait()
    }
  }

  @Test("One that its own children keep the channel open for has ended all the same")
  func heldChannel() throws {
    try runProcessLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let error = await #expect(throws: SuccessorError.self) {
        _ = try await SuccessorTests.start(loop, "sleep 1000 & echo $! >\(folder.path(of: "holder")); exit 4")
      }
      #expect(error?.returnCode == 4)
      let holder = try String(contentsOfFile: folder.path(of: "holder"), encoding: .utf8)
      kill(try #require(Int32(holder.dropLast())), SIGKILL)
    }
  }

  @Test(
    "One that is not ready in time is ended by SIGTERM, or by SIGKILL if it does not listen", arguments: [false, true])
  func late(isStubborn: Bool) throws {
    try runProcessLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let trap = isStubborn ? "trap '' TERM; " : "trap 'echo >\(folder.path(of: "asked")); exit' TERM; "
      // It gives up the channel, which is no end of it.
      let script =
        trap + "echo >\(folder.path(of: "up")); eval \"exec $ASYNCIO_READY_FD>&-\"; while :; do sleep 0.01; done"
      kernel.stopClock()
      let start = loop.createTask { try await SuccessorTests.start(loop, script, timeout: .seconds(60)) }
      try await loop.until { folder.exists("up") }
      #expect(!start.isDone)
      kernel.advanceClock(by: .seconds(60))
      if isStubborn {
        try await loop.until { kernel.count(of: .signalChild) == 1 }
        try await loop.turn(50)
        #expect(!start.isDone)
        kernel.advanceClock(by: .seconds(5))
      }
      await #expect(throws: TimeoutError.self) { _ = try await start.value }
      #expect(kernel.count(of: .signalChild) == (isStubborn ? 2 : 1))
      #expect(folder.exists("asked") == !isStubborn)
    }
  }

  @Test("A cancelled start ends the successor, and leaves nothing")
  func cancelled() throws {
    try runProcessLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await SuccessorTests.server(loop)
      let start = loop.createTask {
        try await SuccessorTests.start(
          loop, "echo >\(folder.path(of: "up")); exec sleep 1000", passing: ["s": server])
      }
      try await loop.until { folder.exists("up") }
      start.cancel()
      await #expect(throws: CancellationError.self) { _ = try await start.value }
      #expect(kernel.children.current == [], "it has ended by now")
      #expect(server.isServing)
      server.close()
    }
  }

  @Test("A loop that closes meanwhile takes an unready successor with it")
  func loopEnds() throws {
    try runProcessLoop { loop, kernel in
      let folder = try TemporaryFolder()
      loop.createTask { try await SuccessorTests.start(loop, "echo >\(folder.path(of: "up")); exec sleep 1000") }
      try await loop.until { folder.exists("up") }
    }
  }

  @Test("What cannot be passed on is an error before anything is started")
  func nothingStarted() throws {
    try runProcessLoop { loop, kernel in
      let server = try await SuccessorTests.server(loop)
      await #expect(throws: EventLoopError.invalidArgument) {
        _ = try await SuccessorTests.start(loop, "exit", passing: ["a:b": server])
      }
      kernel.inject(.tooManyOpenFiles, into: .makeSocketPair)
      await #expect(throws: IOError.self) { _ = try await SuccessorTests.start(loop, "exit", passing: ["a": server]) }
      #expect(kernel.count(of: .spawn) == 0)
      server.close()
      await #expect(throws: EventLoopError.serverState) {
        _ = try await SuccessorTests.start(loop, "exit", passing: ["a": server])
      }
      await #expect(throws: IOError.self) { _ = try await loop.startSuccessor("/nonexistent") }
    }
  }

  @Test("A manager's watchdog is told of by the successor's own number, if it was for this process")
  func watchdog() throws {
    try runProcessLoop { loop, kernel in
      for (value, isOwn) in [("\(ownProcessID())", true), ("1", false)] {
        let script = "[ $WATCHDOG_PID = \(isOwn ? "$$" : "1") ] && [ $OWN = kept ] || exit 9; \(SuccessorTests.ready)"
        let environment: ChildEnvironment = ["WATCHDOG_PID": value, "OWN": "kept"]
        let successor = try await SuccessorTests.start(
          loop, script, options: SubprocessOptions(environment: environment))
        #expect(try await successor.wait() == 0)
      }
    }
  }

  @Test("The channel stays out of the way of descriptors and sockets that the program passes on itself")
  func otherDescriptors() throws {
    try runProcessLoop { loop, kernel in
      let socket = try listeningSocket(kernel)
      let options = SubprocessOptions(
        descriptors: [4: .standardError, 5: .standardError], sockets: [PassedSocket(socket, name: "own")])
      let script = "[ $ASYNCIO_READY_FD = 6 ] && [ $LISTEN_FDS = 1 ] || exit 9; \(SuccessorTests.ready)"
      let successor = try await SuccessorTests.start(loop, script, options: options)
      #expect(try await successor.wait() == 0)
    }
  }
}
