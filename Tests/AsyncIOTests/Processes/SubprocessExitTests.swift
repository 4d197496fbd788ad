// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SubprocessExitTests {
  @Test("children that exit before they are watched are noticed")
  func exitBeforeWatching() throws {
    try runProcessLoop { loop, _ in
      for _ in 0..<5 {
        let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "true", stdin: .null)
        try blockUntilEnded(transport.pid)
        try await loop.until("it is noticed") { recorder.isLost }
        #expect(transport.returnCode == 0)
      }
    }
  }

  @Test("500 children at once, each with an output and a code of its own")
  func manyChildren() throws {
    try runProcessLoop { loop, kernel in
      var recorders: [ProcessRecorder] = []
      for index in 0..<500 {
        let (_, recorder) = try await loop.subprocessShell(
          { ProcessRecorder() }, "echo \(index); exit \(index % 200)", stdin: .null, stderr: .null)
        recorders.append(recorder)
      }
      try await loop.until("all end") { recorders.allSatisfy(\.isLost) }
      for (index, recorder) in recorders.enumerated() {
        #expect(recorder.text == "\(index)\n")
        #expect(recorder.codeAtExit == .some(Int32(index % 200)))
      }
      #expect(kernel.children.current == [])
    }
  }

  @Test("children that end together are all noticed")
  func togetherEnded() throws {
    try runProcessLoop { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      var recorders: [ProcessRecorder] = []
      for _ in 0..<20 {
        let (_, recorder) = try await loop.subprocessExec(
          { ProcessRecorder() }, "cat", stdin: .descriptor(reading), stdout: .null, stderr: .null)
        recorders.append(recorder)
      }
      try reading.close()
      try writing.close()
      for recorder in recorders { try blockUntilEnded(recorder.transport.pid) }
      try await loop.until("all are noticed") { recorders.allSatisfy(\.isLost) }
      #expect(recorders.allSatisfy { $0.transport.returnCode == 0 })
    }
  }

  @Test("children of others are not reaped, and one of ours that was reaped elsewhere gives 255 and a warning")
  func reapedElsewhere() throws {
    try runProcessLoop { loop, kernel in
      // A child that is none of the loop's.
      let request = ChildRequest(program: "true", paths: ["/bin/true"], arguments: ["true"])
      let stranger = try LinuxKernel.shared.start(request)
      defer { _ = try? stranger.pidfd?.close() }

      let (transport, recorder) = try await loop.subprocessShell({ ProcessRecorder() }, "exit 3", stdin: .null)
      try blockUntilEnded(transport.pid)
      #expect(try LinuxKernel.shared.reap(Child(pid: transport.pid, pidfd: nil)) == 3)
      try await loop.until("it is noticed") { recorder.isLost }
      #expect(recorder.codeAtExit == .some(255))
      #expect(!CapturedLog.matching("warning: child process \(transport.pid) was reaped by someone else").isEmpty)
      kernel.children.withLock { _ = $0.remove(transport.pid) }
      let error = try await ioError { try transport.kill() }
      #expect(error.code == .noSuchProcess)

      try blockUntilEnded(stranger.pid)
      #expect(try LinuxKernel.shared.reap(stranger) == 0)
    }
  }

  @Test("A signal's arrival does not end the wait, and an unknown error does not leave it for ever")
  func strangeErrors() throws {
    try runProcessLoop { loop, kernel in
      kernel.inject(.invalidArgument, into: .reap)
      let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "true", stdin: .null)
      try await loop.until("it is noticed") { recorder.isLost }
      #expect(transport.returnCode == 255)
      #expect(try LinuxKernel.shared.reap(Child(pid: transport.pid, pidfd: nil)) == 0)
      kernel.children.withLock { _ = $0.remove(transport.pid) }
    }
  }

  @Test("an end that a signal's sender finds first is told once", arguments: [false, true])
  func noticedTwice(withholdsPidfds: Bool) throws {
    try runProcessLoop { loop, kernel in
      kernel.withholdsPidfds.withLock { $0 = withholdsPidfds }
      for _ in 0..<5 {
        let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "true", stdin: .null)
        try blockUntilEnded(transport.pid)
        let error = try await ioError { try transport.sendSignal(.terminate) }
        #expect(error == IOError(.noSuchProcess, "kill", "process \(transport.pid)"))
        #expect(transport.returnCode == 0 && !recorder.hasExited)
        try await loop.until { recorder.isLost }
        try await loop.turn(5)
        #expect(recorder.calls.count { $0 == .exited } == 1)
      }
    }
  }

  // MARK: Without pidfds

  @Test(
    "where clone's flags are refused, a copying clone takes their place from then on; a thread waits without pidfds",
    arguments: [Errno.notPermitted, .noFunction, .invalidArgument], [false, true])
  func withoutSharing(code: Errno, withholdsPidfds: Bool) throws {
    try runProcessLoop { loop, kernel in
      kernel.withholdsPidfds.withLock { $0 = withholdsPidfds }
      kernel.inject(code, into: .spawn, times: 100)
      let recorder = try await loop.runShell("echo hello; exit 5")
      #expect(recorder.text == "hello\n")
      #expect(recorder.transport.returnCode == 5)
      #expect(kernel.count(of: .spawnCopying) == 1)

      let (transport, killed) = try await loop.subprocessExec({ ProcessRecorder() }, "cat")
      transport.close()
      try await loop.until("it ends") { killed.isLost }
      #expect(transport.returnCode == -9)

      let error = try await ioError { try await loop.subprocessExec({ ProcessRecorder() }, "no-such-program") }
      #expect(error == IOError(.noSuchFileOrDirectory, "exec", "no-such-program"))
      #expect(kernel.count(of: .spawn) == 1, "what was refused once is not tried again")
      #expect(kernel.count(of: .spawnCopying) == 3)
    }
  }

  @Test("a child without a pidfd that was reaped elsewhere gives 255 and a warning")
  func reapedElsewhereWithoutPidfd() throws {
    try runProcessLoop { loop, kernel in
      kernel.withholdsPidfds.withLock { $0 = true }
      // The loop does not turn meanwhile: what the thread has seen waits for it.
      let (transport, recorder) = try await loop.subprocessShell({ ProcessRecorder() }, "exit 3", stdin: .null)
      try blockUntilEnded(transport.pid)
      #expect(try LinuxKernel.shared.reap(Child(pid: transport.pid, pidfd: nil)) == 3)
      kernel.children.withLock { _ = $0.remove(transport.pid) }
      try await loop.until("it is noticed") { recorder.isLost }
      #expect(recorder.codeAtExit == .some(255))
      #expect(!CapturedLog.matching("warning: child process \(transport.pid) was reaped by someone else").isEmpty)
    }
  }

  @Test("Another failure of clone, such as too many processes, is not tried again")
  func cloneFails() throws {
    try runProcessLoop { loop, kernel in
      kernel.inject(.resourceTemporarilyUnavailable, into: .spawn)
      let error = try await ioError { try await loop.subprocessExec({ ProcessRecorder() }, "true") }
      #expect(error == IOError(.resourceTemporarilyUnavailable, "clone", "true"))
      #expect(kernel.count(of: .spawnCopying) == 0)
    }
  }

  @Test("Where the poller refuses the pidfd, a thread waits")
  func pollerRefuses() throws {
    try runProcessLoop { loop, kernel in
      kernel.inject(.noSpace, into: .add)
      let (transport, recorder) = try await loop.subprocessShell({ ProcessRecorder() }, "exit 6", stdin: .null)
      try await loop.until("it is noticed") { recorder.isLost }
      #expect(transport.returnCode == 6)
    }
  }

  // MARK: The loop's end

  @Test(
    "closing the loop kills what runs, and leaves neither zombies nor descriptors", arguments: [true, false])
  func loopClosed(hasPidfd: Bool) throws {
    let released = Boxed(0)
    let kernel = try withLoop { loop, kernel in
      kernel.withholdsPidfds.withLock { $0 = !hasPidfd }
      try loop.runUntilComplete {
        let probe = ReleaseProbe { released.value += 1 }
        for program in ["cat", "cat"] {
          let recorder = ProcessRecorder()
          recorder.onLost = { probe.touch() }
          // The protocol keeps the transport, and the transport the protocol.
          _ = try await loop.subprocessExec({ recorder }, program)
        }
        _ = try await loop.subprocessExec({ ProcessRecorder() }, "sh", ["-c", "exit 1"])
      }
      #expect(kernel.children.current.count >= 2)
      return kernel
    }
    kernel.expectNoChildren()
    #expect(kernel.count(of: .signalChild) >= 2)
    #expect(released.value == 1, "the protocols are let go of")
  }

  @Test("a transport that the program forgot is kept by the loop until the child ends, and reaped")
  func forgotten() throws {
    try runProcessLoop { loop, kernel in
      do { _ = try await loop.subprocessShell({ ProcessRecorder() }, "echo a; exit 2", stdin: .null) }
      try await loop.until("it is reaped") { kernel.children.current == [] }
    }
  }

  @Test("A loop closed in debug mode warns of children that still run")
  func debugWarning() throws {
    var pid: Int32 = 0
    let kernel = try withLoop { loop, kernel in
      loop.debug = true
      try loop.runUntilComplete {
        pid = try await loop.subprocessExec({ ProcessRecorder() }, "cat").transport.pid
      }
      return kernel
    }
    kernel.expectNoChildren()
    #expect(!CapturedLog.matching("child process \(pid) was still running when its event loop was closed").isEmpty)
  }
}
