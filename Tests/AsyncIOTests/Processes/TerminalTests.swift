// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct TerminalTests {
  @Test("A child on a terminal sees one on all three streams, of the size asked for, that controls its session")
  func terminal() throws {
    try runProcessLoop { loop, _ in
      let script = """
        import os, sys, termios
        print([os.isatty(n) for n in range(3)], tuple(os.get_terminal_size(1)), os.getsid(0) == os.getpid(),
          os.tcgetpgrp(0) == os.getpgrp(), os.ttyname(0) == os.ttyname(2))
        print(open("/dev/tty", "w").isatty(), flush=True)
        """
      let (transport, recorder) = try await loop.subprocessExec(
        { ProcessRecorder() }, "python3", ["-c", script], on: .pty(rows: 31, columns: 101))
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.text == "[True, True, True] (101, 31) True True True\r\nTrue\r\n")
      #expect(transport.returnCode == 0)
      #expect(recorder.calls.filter { $0 == .pipeLost(1, nil) }.count == 1)
      #expect(!recorder.hasLostPipe(0) && !recorder.hasLostPipe(2))
    }
  }

  @Test("One transport reads and writes: what is typed is echoed, and read by the child")
  func typing() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "stty -echo; echo name?; read name; echo hello $name", on: .pty())
      let terminal = try #require(transport.terminal)
      for number in 0..<3 { #expect(transport.pipeTransport(Int32(number)) === terminal) }
      try await loop.until("it asks") { recorder.text == "name?\r\n" }
      terminal.write("world\n")
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.text == "name?\r\nhello world\r\n")
    }
  }

  @Test("Control-C typed is a signal, and the end-of-file character an end of file")
  func controlCharacters() throws {
    try runProcessLoop { loop, _ in
      let (cat, first) = try await loop.subprocessExec({ ProcessRecorder() }, "cat", on: .pty())
      cat.terminal?.write("line\n")
      try await loop.until("it is echoed and copied") { first.text == "line\r\nline\r\n" }
      cat.terminal?.writeEOF()
      try await loop.until("it ends") { first.isLost }
      #expect(cat.returnCode == 0)

      let (transport, second) = try await loop.subprocessExec({ ProcessRecorder() }, "cat", on: .pty())
      transport.terminal?.write("\u{3}")
      try await loop.until("it ends") { second.isLost }
      #expect(transport.returnCode == -2)
    }
  }

  @Test("A new size is told to the child by SIGWINCH")
  func resizing() throws {
    try runProcessLoop { loop, kernel in
      let (transport, recorder) = try await loop.subprocessExec(
        { ProcessRecorder() }, "sh",
        ["-c", "trap 'stty size' WINCH; stty -echo; stty size; while [ -z \"$line\" ]; do read line; done; exit 4"],
        on: .pty(rows: 5, columns: 6))
      try await loop.until("the trap is set") { recorder.text == "5 6\r\n" }
      try transport.terminal?.resize(rows: 50, columns: 60)
      transport.terminal?.write("\n")
      try await loop.until("the new size is told") { recorder.text == "5 6\r\n50 60\r\n" }
      kernel.inject(.ioError, into: .resizeTerminal)
      let injected = try await ioError { try transport.terminal?.resize(rows: 1, columns: 1) }
      #expect(injected.operation == "ioctl TIOCSWINSZ")
      transport.terminal?.write("enough\n")
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == 4)
      let late = try await ioError { try transport.terminal?.resize(rows: 1, columns: 1) }
      #expect(late.code == .badFileDescriptor)
    }
  }

  @Test("everything that was written is read before the end, which is no error")
  func endOfTerminal() throws {
    try runProcessLoop { loop, _ in
      let (_, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done", on: .pty())
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.text == (0..<5000).map { "line \($0)\r\n" }.joined())
      #expect(recorder.calls.contains(.pipeLost(1, nil)))
    }
  }

  @Test("A child that closes its streams and lives on is not hung up")
  func streamsClosed() throws {
    try runProcessLoop { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "echo a; exec <&- >&- 2>&-; read line <&5; exit 8", on: .pty(),
        options: SubprocessOptions(descriptors: [5: reading]))
      try reading.close()
      try await loop.until("its terminal ends") { recorder.hasLostPipe(1) }
      #expect(recorder.text == "a\r\n")
      try await loop.turn(5)
      #expect(transport.returnCode == nil)
      try writing.close()
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == 8)
    }
  }

  @Test("Reading may be paused, and closing hangs up")
  func hangUp() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "yes", on: .pty())
      try await loop.until("it writes") { !recorder.output.isEmpty }
      let terminal = try #require(transport.terminal)
      terminal.pauseReading()
      #expect(!terminal.isReading)
      let count = recorder.output.count
      try await loop.turn(10)
      #expect(recorder.output.count == count)
      terminal.resumeReading()
      try await loop.until("it goes on") { recorder.output.count > count }
      terminal.close()
      #expect(terminal.isClosing)
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == -1, "SIGHUP")
    }
  }

  @Test("Closing the process ends its terminal too, also with bytes that nobody takes")
  func closing() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "stty raw -echo; echo ready; exec sleep 1000", on: .pty())
      try await loop.until("it is ready") { recorder.text.hasPrefix("ready") }
      transport.terminal?.write([UInt8](repeating: 65, count: 1 << 20))
      #expect((transport.terminal?.writeBufferSize ?? 0) > 0)
      transport.close()
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == -9)
    }
  }

  @Test("A child that leaves the terminal is not waited for by what was to be typed")
  func childLeaves() throws {
    try runProcessLoop { loop, _ in
      let (transport, recorder) = try await loop.subprocessShell(
        { ProcessRecorder() }, "stty raw -echo; echo ready; head -c 1 >/dev/null; exit 3", on: .pty())
      try await loop.until("it is ready") { recorder.text.hasPrefix("ready") }
      transport.terminal?.write([UInt8](repeating: 65, count: 1 << 20))
      try await loop.until("it ends") { recorder.isLost }
      #expect(transport.returnCode == 3)
    }
  }
}
