// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SubprocessTransportTests {
  @Test("by default there is a pipe for each stream")
  func pipesByDefault() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "cat")
      #expect(transport.pipeTransport(0) is WritePipeTransport)
      #expect(transport.pipeTransport(1) is ReadPipeTransport)
      #expect(transport.pipeTransport(2) is ReadPipeTransport)
      #expect(transport.pipeTransport(3) == nil)
      transport.stdin?.write("through and back")
      transport.stdin?.close()
      try await loop.until("cat ends") { recorder.isLost }
      #expect(recorder.text == "through and back")
      #expect(transport.returnCode == 0)
    }
  }

  @Test("a stream that is inherited or null has no pipe transport")
  func noPipes() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "cat; echo lost; echo kept >&2; exit 3", stdin: .null, stdout: .null, stderr: .pipe)
      #expect(transport.pipeTransport(0) == nil)
      #expect(transport.pipeTransport(1) == nil)
      try await loop.until("the shell ends") { recorder.isLost }
      #expect(recorder.output == [])
      #expect(recorder.errorText == "kept\n")
      #expect(transport.returnCode == 3)

      let (second, end) = try await loop.subprocessShell(
        { ProcessRecorder() }, "[ /proc/self/fd/1 -ef /proc/\(ownProcessID())/fd/1 ]", stdin: .inherit,
        stdout: .inherit, stderr: .inherit)
      for number in 0..<3 { #expect(second.pipeTransport(Int32(number)) == nil) }
      try await loop.until("the shell ends") { end.isLost }
      #expect(second.returnCode == 0, "its standard output is ours")
      #expect(end.calls == [.made, .exited, .lost])
    }
  }

  @Test("connectionMade comes first, with all pipes there, and output that was produced before comes after it")
  func connectionMadeFirst() throws {
    try runProcessLoop { loop, _ in
      let recorder = ProcessRecorder()
      var pipes: [Bool] = []
      recorder.onMade = { transport in
        // The child writes and ends while the loop does not look.
        try blockUntilEnded(transport.pid)
        pipes = [0, 1, 2].map { transport.pipeTransport($0) != nil }
        #expect(transport.returnCode == nil)
      }
      _ = try await loop.subprocessShell({ recorder }, "echo early; echo bad >&2")
      #expect(recorder.calls == [.made])
      #expect(pipes == [true, true, true])
      try await loop.until("the shell ends") { recorder.isLost }
      #expect(recorder.calls.first == .made)
      #expect(recorder.text == "early\n")
      #expect(recorder.errorText == "bad\n")
    }
  }

  @Test("what connectionMade throws is reported, and the child is killed")
  func connectionMadeThrows() throws {
    try runProcessLoop { loop, _ in
      let errors = loop.collectErrors()
      let recorder = ProcessRecorder()
      recorder.onMade = { _ in throw TestError() }
      let (transport, _) = try await loop.subprocessExec({ recorder }, "cat")
      try await loop.until("the child ends") { recorder.isLost }
      #expect(transport.returnCode == -9)
      #expect(errors.messages == ["error in a protocol's connectionMade"])
    }
  }

  @Test("data names its pipe, and each pipe is lost once")
  func namedPipes() throws {
    try runProcessLoop { loop, _ in
      let recorder = try await loop.runShell("echo out; echo err >&2")
      #expect(recorder.text == "out\n")
      #expect(recorder.errorText == "err\n")
      for number: Int32 in [1, 2] { #expect(recorder.calls.count { $0 == .pipeLost(number, nil) } == 1) }
      #expect(recorder.calls.last == .lost)
      #expect(recorder.calls.count { $0 == .lost } == 1)
    }
  }

  @Test("an error that pipeDataReceived throws is reported and closes that pipe")
  func dataThrows() throws {
    try runProcessLoop { loop, _ in
      let errors = loop.collectErrors()
      let recorder = ProcessRecorder()
      recorder.onData = { fd, _ in if fd == 1 { throw TestError() } }
      _ = try await loop.subprocessShell({ recorder }, "echo a; cat; echo b >&2")
      try await loop.until("the pipe closes") { recorder.hasLostPipe(1) }
      #expect(errors.contexts.map { $0.error as? TestError } == [TestError()])
      recorder.transport.stdin?.close()
      try await loop.until("the child ends") { recorder.isLost }
      #expect(recorder.errorText == "b\n")
    }
  }

  @Test("connectionLost waits for the pipes when the exit comes first: grandchildren hold them")
  func exitFirst() throws {
    try runProcessLoop { loop, _ in
      // The grandchild holds the output until its own input ends, and that is a pipe of ours.
      let (reading, writing) = try FileDescriptor.privatePipe()
      defer { try? reading.close() }
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "(cat <&5; echo grandchild) & exec true", stdin: .null,
        options: SubprocessOptions(descriptors: [5: reading]))
      try await loop.until("the child exits") { recorder.hasExited }
      try await loop.turn(20)
      #expect(recorder.calls == [.made, .exited])
      #expect(transport.returnCode == 0)
      try writing.close()
      try await loop.until("the pipes end") { recorder.isLost }
      #expect(recorder.text == "grandchild\n")
      #expect(recorder.calls.last == .lost)
    }
  }

  @Test("connectionLost waits for the exit when the pipes end first: the child lives on without them")
  func pipesFirst() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "exec >&- 2>&-; read line; exit 7")
      try await loop.until("its pipes end") { recorder.hasLostPipe(1) && recorder.hasLostPipe(2) }
      try await loop.turn(20)
      #expect(transport.returnCode == nil)
      #expect(!recorder.isLost)
      transport.stdin?.write("go\n")
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == 7)
      #expect(recorder.calls.contains(.pipeLost(0, nil)))
    }
  }

  @Test("the return code is the exit status or minus the signal, and there in processExited")
  func returnCodes() throws {
    try runProcessLoop { loop, _ in
      for (command, code): (String, Int32) in [
        ("exit 0", 0), ("exit 1", 1), ("exit 255", 255), ("kill -TERM $$", -15), ("kill -ABRT $$", -6),
      ] {
        let recorder = ProcessRecorder()
        recorder.onMade = { transport in #expect(transport.returnCode == nil) }
        _ = try await loop.runShell(command, recorder)
        #expect(recorder.codeAtExit == .some(code), "\(command)")
        #expect(recorder.transport.returnCode == code)
      }
    }
  }

  @Test("standard error merged into standard output is one pipe")
  func merged() throws {
    try runProcessLoop { loop, _ in
      let recorder = try await loop.runShell("echo out; echo err >&2", stderr: .standardOutput)
      #expect(recorder.text == "out\nerr\n")
      #expect(recorder.errorOutput == [])
      #expect(recorder.transport.pipeTransport(2) == nil)
      #expect(!recorder.hasLostPipe(2))
    }
  }

  @Test("closing our end of the output gives the child a broken pipe")
  func outputClosed() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "yes", stderr: .null)
      try await loop.until("it writes") { !recorder.output.isEmpty }
      transport.stdout?.close()
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == -13, "SIGPIPE does what it does by default")
    }
  }

  @Test("close closes the pipes and kills a child that runs")
  func closeKills() throws {
    try runProcessLoop { loop, kernel in
      let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "cat")
      // More than the pipe holds: nobody is going to take it.
      transport.stdin?.write([UInt8](repeating: 1, count: 1 << 20))
      transport.stdout?.pauseReading()
      transport.close()
      #expect(transport.isClosing)
      transport.close()
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == -9)
      #expect(kernel.count(of: .signalChild) == 1)
      #expect(recorder.calls.count { $0 == .lost } == 1)
      #expect(!processExists(transport.pid))
    }
  }

  @Test("close ends the pipes also when a grandchild holds them, and what is buffered is dropped")
  func closeWithGrandchild() throws {
    try runProcessLoop { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "exec 4<&0; cat <&5 & echo ready; exec sleep 1000",
        options: SubprocessOptions(descriptors: [5: reading]))
      try reading.close()
      try await loop.until("the grandchild is about to run") { recorder.text == "ready\n" }
      transport.stdin?.write([UInt8](repeating: 1, count: 1 << 20))
      transport.close()
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == -9)
      try writing.close()
    }
  }

  @Test("close never signals a child that has exited, reaped or not")
  func closeAfterExit() throws {
    try runProcessLoop { loop, kernel in
      let (transport, recorder) = try await loop.subprocessShell({ ProcessRecorder() }, "exit 4")
      // The loop does not turn meanwhile, and does not know.
      try blockUntilEnded(transport.pid)
      transport.close()
      #expect(kernel.count(of: .signalChild) == 0)
      #expect(transport.returnCode == 4)
      #expect(!recorder.hasExited, "nothing is told from inside close")
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.calls.count { $0 == .exited } == 1)
      transport.close()
      #expect(kernel.count(of: .signalChild) == 0)
    }
  }

  @Test("after the end close is harmless, and signals fail with no such process")
  func afterTheEnd() throws {
    try runProcessLoop { loop, kernel in
      let recorder = try await loop.runShell("exit 0")
      let transport = recorder.transport
      transport.close()
      #expect(transport.isClosing)
      for send in [transport.terminate, transport.kill, { try transport.sendSignal(.hangUp) }] {
        let error = try await ioError { try send() }
        #expect(error.code == .noSuchProcess)
        #expect(error.subject == "process \(transport.pid)")
      }
      #expect(kernel.count(of: .signalChild) == 0)
      try await loop.turn()
      #expect(recorder.calls.count { $0 == .lost } == 1)
    }
  }

  @Test("Signals arrive, and what is no signal is an error")
  func signals() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "trap 'echo usr1; exit 9' USR1; echo ready; while :; do read line; done")
      try await loop.until("the trap is set") { recorder.text == "ready\n" }
      let error = try await ioError { try transport.sendSignal(Signal(rawValue: 4711)) }
      #expect(error.code == .invalidArgument)
      try transport.sendSignal(.user1)
      transport.stdin?.write("wake up\n")
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.text == "ready\nusr1\n")
      #expect(transport.returnCode == 9)

      let (second, end) = try await loop.subprocessExec({ ProcessRecorder() }, "cat")
      try second.terminate()
      try await loop.until("it ends") { end.isLost }
      #expect(second.returnCode == -15)
    }
  }

  @Test("What a child never reads, 100 MiB, pauses the protocol, and killing the child ends the wait")
  func backPressure() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "sleep", ["1000"])
      let chunk = [UInt8](repeating: 7, count: 1 << 20)
      for _ in 0..<100 { transport.stdin?.write(chunk) }
      #expect(recorder.calls == [.made, .pause])
      #expect((transport.stdin?.writeBufferSize ?? 0) > 99 << 20)
      try transport.kill()
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == -9)
      #expect(recorder.calls.contains(.pipeLost(0, .brokenPipe)))
    }
  }

  @Test("What the last methods throw is reported, and does not keep the rest from being told")
  func lateErrors() throws {
    try runProcessLoop { loop, _ in
      let errors = loop.collectErrors()
      let recorder = ProcessRecorder()
      recorder.onExited = { throw TestError(number: 10) }
      recorder.onPipeLost = { throw TestError(number: Int($0)) }
      recorder.onLost = { throw TestError(number: 20) }
      _ = try await loop.runShell("exit 0", recorder)
      #expect(errors.contexts.compactMap { ($0.error as? TestError)?.number }.sorted() == [1, 2, 10, 20])
      #expect(errors.contexts.allSatisfy { $0.transport === recorder.transport && $0.protocol === recorder })
    }
  }

  @Test("a protocol may close the transport from each of its methods", arguments: 0..<4)
  func closingFromInside(moment: Int) throws {
    try runProcessLoop { loop, _ in
      let recorder = ProcessRecorder()
      let close = { recorder.transport.close() }
      if moment == 0 { recorder.onMade = { _ in close() } }
      if moment == 1 { recorder.onData = { _, _ in close() } }
      if moment == 2 { recorder.onExited = close }
      if moment == 3 { recorder.onPipeLost = { _ in close() } }
      let command = moment == 2 ? "echo a" : "echo a; exec >&-; read line"
      _ = try await loop.subprocessShell({ recorder }, command)
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.calls.count { $0 == .exited } == 1)
      #expect(recorder.calls.last == .lost)
      #expect(recorder.transport.returnCode == (moment == 2 ? 0 : -9))
    }
  }

  @Test("Nothing of a transport that has ended is kept")
  func nothingIsKept() throws {
    try runProcessLoop { loop, _ in
      weak var transport: SubprocessTransport?
      do {
        let recorder = try await loop.runShell("exit 0")
        transport = recorder.transport
        recorder.forgetTransport()
      }
      try await loop.turn()
      #expect(transport == nil)
    }
  }
}
