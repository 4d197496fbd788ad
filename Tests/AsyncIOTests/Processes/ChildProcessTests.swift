// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct ChildProcessTests {
  @Test("Streams are inherited unless asked for")
  func defaults() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessExec("true")
      #expect(process.stdin == nil && process.stdout == nil && process.stderr == nil)
      #expect(try await process.wait() == 0)
      #expect(process.returnCode == 0)
      let (output, errors) = try await process.communicate()
      #expect(output == nil && errors == nil)
    }
  }

  @Test("communicate sends the input and reads both outputs, each far beyond what pipes and readers hold")
  func communicate() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessShell(
        "tee /proc/self/fd/2", stdin: .pipe, stdout: .pipe, stderr: .pipe)
      let input = pattern(3_000_000)
      let (output, errors) = try await process.communicate(input: input)
      #expect(output == input)
      #expect(errors == input)
      #expect(process.returnCode == 0)
    }
  }

  @Test("communicate without input closes the standard input")
  func noInput() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .pipe)
      #expect(try await process.communicate().stdout == [])
      let deaf = try await loop.createSubprocessExec("cat", stdin: .null, stdout: .pipe)
      let error = await thrown { try await deaf.communicate(input: "x") }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      try await deaf.communicate()
    }
  }

  @Test("communicate ignores a broken pipe, writing and draining by hand throws it")
  func brokenPipe() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessShell("exec <&-; echo done", stdin: .pipe, stdout: .pipe)
      let (output, _) = try await process.communicate(input: pattern(1_000_000))
      #expect(output == Array("done\n".utf8))

      let second = try await loop.createSubprocessShell("exec <&-; exec sleep 1000", stdin: .pipe)
      let stdin = try #require(second.stdin)
      let error = try await ioError {
        while true { try await stdin.send(pattern(100_000)) }
      }
      #expect([.brokenPipe, .connectionReset].contains(error.code))
      try second.kill()
      #expect(try await second.wait() == -9)
    }
  }

  @Test("output beyond the limit pauses reading, does not deadlock, and can be read after the exit")
  func limit() throws {
    try runProcessLoop { loop, kernel in
      let process = try await loop.createSubprocessShell(
        "head -c 50000 /dev/zero; exec >&-; exit 5", stdin: .null, stdout: .pipe, limit: 1000)
      #expect(try await process.wait() == 5)
      let reader = try #require(process.stdout)
      #expect(reader.transport?.isReading == false)
      #expect(try await reader.readExactly(50_000).count == 50_000)
      #expect(try await reader.read() == [])
      #expect(reader.atEOF)
    }
  }

  @Test("killing a shell whose own child runs on gives minus SIGKILL")
  func killShell() throws {
    try runProcessLoop { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      defer { try? reading.close() }
      let process = try await loop.createSubprocessShell(
        "cat <&5 & echo started; wait", stdin: .null, stdout: .pipe,
        options: SubprocessOptions(descriptors: [5: reading]))
      let reader = try #require(process.stdout)
      #expect(try await reader.readLine() == Array("started\n".utf8))
      try process.kill()
      #expect(try await process.wait() == -9)
      #expect(!reader.atEOF, "the grandchild holds the pipe")
      try writing.close()
      #expect(try await reader.read() == [])
    }
  }

  @Test("ten children at once keep their outputs apart")
  func manyAtOnce() throws {
    try runProcessLoop { loop, _ in
      var tasks: [LoopTask<String>] = []
      for index in 0..<10 {
        tasks.append(
          loop.createTask {
            let process = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .pipe)
            let (output, _) = try await process.communicate(input: String(repeating: "\(index)", count: 200_000))
            return String(decoding: output ?? [], as: UTF8.self)
          })
      }
      for (index, task) in tasks.enumerated() {
        let text = try await task.value
        #expect(text.count == 200_000 && Set(text) == Set("\(index)"))
      }
    }
  }

  @Test("a communicate that is cancelled loses nothing, neither of the output nor of the input")
  func cancelledCommunicate() throws {
    try runProcessLoop { loop, _ in
      // It goes on to its last word once we let it.
      let (reading, writing) = try FileDescriptor.privatePipe()
      let process = try await loop.createSubprocessShell(
        "echo first; echo bad >&2; cat; cat <&5; echo last", stdin: .pipe, stdout: .pipe, stderr: .pipe,
        options: SubprocessOptions(descriptors: [5: reading]))
      try reading.close()
      let input = pattern(500_000)
      let task = loop.createTask { _ = try await process.communicate(input: input) }
      try await loop.until("the input is on its way") {
        process.stdin?.isClosing == true && process.stdin?.transport.writeBufferSize == 0
      }
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      #expect(process.returnCode == nil)
      #expect(try await process.stdout?.readLine() == Array("first\n".utf8))
      try writing.close()
      let (output, errors) = try await process.communicate()
      #expect(output == input + Array("last\n".utf8))
      #expect(errors == Array("bad\n".utf8))
      #expect(process.returnCode == 0)
    }
  }

  @Test("A communicate that is cancelled can kill the process")
  func cancelledCommunicateKills() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessShell("echo a; exec sleep 1000", stdin: .null, stdout: .pipe)
      let task = loop.createTask { _ = try await process.communicate(killOnCancel: true) }
      try await loop.turn()
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      #expect(try await process.wait() == -9)

      let spared = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .pipe)
      let second = loop.createTask { _ = try await spared.wait() }
      try await loop.turn()
      second.cancel()
      #expect(await thrown { try await second.value } is CancellationError)
      #expect(spared.returnCode == nil)
      try await spared.communicate()
      #expect(spared.returnCode == 0)
    }
  }

  @Test("Killing a process in the middle of communicate ends that, with what there was")
  func killDuringCommunicate() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessShell("echo some; exec sleep 1000", stdin: .pipe, stdout: .pipe)
      // More than it will ever take.
      let task = loop.createTask { try await process.communicate(input: pattern(1_000_000)) }
      try await loop.turn(5)
      try process.kill()
      let (output, _) = try await task.value
      #expect(process.returnCode == -9)
      #expect(output == Array("some\n".utf8) || output == [])
    }
  }

  @Test("Any number of tasks may wait, before the end and after it")
  func waiting() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .null)
      let tasks = (0..<5).map { _ in loop.createTask { try await process.wait() } }
      try await loop.turn()
      tasks[2].cancel()
      process.stdin?.close()
      for (index, task) in tasks.enumerated() where index != 2 { #expect(try await task.value == 0) }
      #expect(await thrown { try await tasks[2].value } is CancellationError)
      #expect(try await process.wait() == 0)
    }
  }

  @Test("Lines of a process that goes on")
  func lines() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessShell(
        "while read line; do echo \"<$line>\"; done", stdin: .pipe, stdout: .pipe)
      let (stdin, stdout) = (try #require(process.stdin), try #require(process.stdout))
      for word in ["a", "b"] {
        try await stdin.send("\(word)\n")
        #expect(try await stdout.readLine() == Array("<\(word)>\n".utf8))
      }
      stdin.write("c\nd\n")
      stdin.close()
      var rest: [String] = []
      for try await line in stdout.lines { rest.append(line) }
      #expect(rest == ["<c>", "<d>"])
      #expect(try await process.wait() == 0)
      try await stdin.waitClosed()
    }
  }

  @Test("A process that is dropped runs on without pipes, and is reaped when it ends; debug mode says so")
  func dropped() throws {
    try runProcessLoop { loop, kernel in
      loop.debug = true
      defer { loop.debug = false }
      var pid: Int32 = 0
      do {
        let process = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .pipe)
        pid = process.pid
      }
      try await loop.until("the end of its input ends it, and it is reaped") { kernel.children.current == [] }
      #expect(!CapturedLog.matching("child process \(pid) still runs, and nobody holds").isEmpty)

      // One that writes finds nobody to read.
      do { _ = try await loop.createSubprocessExec("yes", stdin: .null, stdout: .pipe) }
      try await loop.until("it ends and is reaped") { kernel.children.current == [] }
    }
  }

  @Test("A reader that outlives its process object goes on reading")
  func readerAlone() throws {
    try runProcessLoop { loop, _ in
      let reader = try #require(
        try await loop.createSubprocessShell("echo a; read x; echo b", stdin: .null, stdout: .pipe).stdout)
      #expect(try await reader.read() == Array("a\nb\n".utf8))
    }
  }

  @Test("A limit of zero or less starts nothing")
  func badLimit() throws {
    try runProcessLoop { loop, kernel in
      let error = await thrown { try await loop.createSubprocessExec("true", limit: 0) }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      #expect(kernel.count(of: .spawn) == 0)
    }
  }

  @Test("On a terminal, writer and reader are its two directions, and communicate types an end of file")
  func terminal() throws {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessShell("stty -echo; echo ready; cat", on: .pty())
      let stdout = try #require(process.stdout)
      #expect(process.stderr == nil)
      #expect(try await stdout.readLine() == Array("ready\r\n".utf8))
      let (output, _) = try await process.communicate(input: "typed, and no newline")
      #expect(output == Array("typed, and no newline".utf8))
      #expect(process.returnCode == 0)
      try await process.stdin?.waitClosed()
    }
  }

  @Test("A python child: lines to it and back, its code by sys.exit, its error in a pipe of its own")
  func python() throws {
    try runProcessLoop { loop, _ in
      let script = """
        import sys
        for line in sys.stdin: print(len(line), flush=True)
        print("bye", file=sys.stderr)
        sys.exit(42)
        """
      let process = try await loop.createSubprocessExec(
        "python3", ["-c", script], stdin: .pipe, stdout: .pipe, stderr: .pipe)
      try await process.stdin?.send("four\n")
      #expect(try await process.stdout?.readLine() == Array("5\n".utf8))
      let (output, errors) = try await process.communicate(input: "seventh\n")
      #expect(output == Array("8\n".utf8))
      #expect(errors == Array("bye\n".utf8))
      #expect(process.returnCode == 42)
    }
  }

  @Test("What runs when the program's loop ends is killed and reaped")
  func programEnds() throws {
    try runProcessLoop { loop, kernel in
      let process = try await loop.createSubprocessExec("sleep", ["1000"], stdin: .null)
      loop.createTask { try await process.wait() }
      #expect(kernel.children.current == [process.pid])
    }
  }
}
