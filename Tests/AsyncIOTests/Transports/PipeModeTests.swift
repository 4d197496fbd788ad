// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// The blocking mode is one of the open file, which descriptors share, and processes too.
@Suite("Pipes and the blocking mode")
struct PipeModeTests {
  /// Whether a descriptor's mode can be left alone: a terminal's master cannot be opened once more.
  private func isLeftAlone(_ kind: PipeKind, reading: Bool) -> Bool { !(kind == .terminal && reading) }

  @Test("a pipe, FIFO, socket or terminal stays blocking for others, and works", arguments: PipeKind.allCases)
  func leavesMode(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kind.open()
      let duplicates = [try reading.duplicate(), try writing.duplicate()]
      defer { for duplicate in duplicates { try? duplicate.close() } }
      kernel.enrol(reading)
      kernel.enrol(writing)
      let (reader, writer) = (ReadRecorder(), WriteRecorder())
      _ = try await loop.connectReadPipe({ reader }, reading)
      _ = try await loop.connectWritePipe({ writer }, writing)
      #expect(try duplicates[0].isNonBlocking == !isLeftAlone(kind, reading: true))
      #expect(try !duplicates[1].isNonBlocking)
      #expect(reader.transport.getExtraInfo(.pipe) == reading && writer.transport.getExtraInfo(.pipe) == writing)
      writer.transport.write("through")
      try await loop.until { reader.text == "through" }
      try await loop.expectIdle(kernel)
      reader.transport.close()
      writer.transport.abort()
      try await loop.until { reader.isLost && writer.isLost }
      for duplicate in duplicates { #expect(try !duplicate.isNonBlocking) }
    }
  }

  @Test("a write pipe on a descriptor of its own still hears of its reader's end", arguments: [PipeKind.pipe, .fifo])
  func hearsOfTheEnd(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (writer, peer) = try await kind.writer(loop, kernel)
      #expect(kernel.count(of: .reopen) == 1 && kernel.count(of: .setNonBlocking) == 0)
      peer.close()
      try await loop.until { writer.isLost }
      #expect(writer.calls == [.made, .lost(nil)])
    }
  }

  @Test("a FIFO whose writers have gone before is at its end", arguments: [PipeKind.pipe, .fifo], [0, 5])
  func writersAreGone(_ kind: PipeKind, left: Int) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kind.open()
      let duplicate = try reading.duplicate()
      defer { try? duplicate.close() }
      try writing.writeAll(pattern(left))
      try writing.close()
      kernel.enrol(reading)
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, reading)
      try await loop.until { recorder.isLost }
      #expect(recorder.received == pattern(left) && recorder.loss! == nil)
      #expect(try !duplicate.isNonBlocking)
    }
  }

  @Test(
    "where nothing can be opened once more, the mode is put back, whichever way the transport ends",
    arguments: [PipeKind.pipe, .fifo, .terminal])
  func restoresMode(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      kernel.inject(.permissionDenied, into: .reopen, times: 2)
      let (reading, writing) = try kind.open()
      let readingToo = try reading.duplicate()
      let writingToo = try writing.duplicate()
      kernel.enrol(reading)
      kernel.enrol(writing)
      let reader = ReadRecorder()
      let writer = WriteRecorder()
      _ = try await loop.connectReadPipe({ reader }, reading)
      _ = try await loop.connectWritePipe({ writer }, writing)
      #expect(try readingToo.isNonBlocking && writingToo.isNonBlocking)
      reader.transport.close()
      writer.transport.abort()
      try await loop.until { reader.isLost && writer.isLost }
      #expect(try !readingToo.isNonBlocking && !writingToo.isNonBlocking)
      try readingToo.close()
      try writingToo.close()
    }
  }

  @Test("the mode is put back when the loop closes")
  func restoresModeAtClose() throws {
    let (reading, writing) = try PipeKind.pipe.open()
    let duplicate = try reading.duplicate()
    try runLoop { loop, kernel in
      kernel.enrol(reading)
      kernel.inject(.permissionDenied, into: .reopen)
      _ = try await loop.connectReadPipe(ReadRecorder.init, reading)
      #expect(try duplicate.isNonBlocking)
    }
    #expect(try !duplicate.isNonBlocking)
    try duplicate.close()
    try writing.close()
  }

  @Test("a descriptor that came non-blocking stays so")
  func keepsNonBlocking() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      try LinuxKernel.shared.setNonBlocking(reading, true)
      let duplicate = try reading.duplicate()
      kernel.enrol(reading)
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, reading)
      #expect(kernel.count(of: .reopen) == 0)
      try writing.close()
      try await loop.until { recorder.isLost }
      #expect(try duplicate.isNonBlocking)
      try duplicate.close()
    }
  }

  @Test(
    "transports that share an open file keep it non-blocking until the last of them ends", arguments: [true, false])
  func sharedFile(readerFirst: Bool) throws {
    try runLoop { loop, kernel in
      let (terminal, far) = try PipeKind.terminal.open()
      let peer = PipePeer(far, kernel)
      let third = try terminal.duplicate()
      let input = terminal
      let output = try terminal.duplicate()
      kernel.enrol(input)
      kernel.enrol(output)
      let reader = ReadRecorder()
      let writer = WriteRecorder()
      _ = try await loop.connectReadPipe({ reader }, input)
      _ = try await loop.connectWritePipe({ writer }, output)
      if readerFirst { reader.transport.close() } else { writer.transport.close() }
      try await loop.until { readerFirst ? reader.isLost : writer.isLost }
      #expect(try third.isNonBlocking, "the other one still needs it")
      if readerFirst {
        writer.transport.write("on")
        #expect(try await peer.receive(2, on: loop) == Array("on".utf8))
        writer.transport.close()
      } else {
        try peer.send("on")
        try await loop.until { reader.text == "on" }
        reader.transport.close()
      }
      try await loop.until { reader.isLost && writer.isLost }
      #expect(try !third.isNonBlocking)
      try third.close()
    }
  }

  @Test(
    "a child that inherits what the loop reads waits for its input", arguments: [PipeKind.pipe, .fifo, .socketPair])
  func child(_ kind: PipeKind) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kind.open()
      kernel.enrol(reading)
      let recorder = ReadRecorder()
      recorder.onMade = { $0.pauseReading() }
      _ = try await loop.connectReadPipe({ recorder }, reading)
      let child = try await loop.createSubprocessExec(
        "/bin/sh", ["-c", "cat /proc/self/fdinfo/0; echo ready; read line && echo got $line"],
        stdin: .descriptor(reading), stdout: .pipe)
      let output = try #require(child.stdout)
      var flags: Int?
      while true {
        let line = String(decoding: try await output.readLine(), as: UTF8.self).split(whereSeparator: \.isWhitespace)
        if line.first == "flags:" { flags = Int(line[1], radix: 8) }
        if line.first == "ready" || line.isEmpty { break }
      }
      #expect(flags.map { $0 & Int(O_NONBLOCK) } == 0)
      try writing.writeAll(Array("the line\n".utf8))
      #expect(String(decoding: try await output.readLine(), as: UTF8.self) == "got the line\n")
      #expect(try await child.wait() == 0)
      try writing.close()
      recorder.transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  /// How the probe leaves, and whether its standard input can be opened once more.
  @Test(
    "a program that leaves in the middle leaves its standard input as it was",
    arguments: [("exit", true), ("exit", false), ("killed", true)])
  func leaves(_ how: String, opensOnceMore: Bool) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      defer { try? reading.close() }
      // Without a writer, the mode has to be changed.
      if !opensOnceMore { try writing.close() }
      let child = try await loop.createSubprocessExec(
        try ProbeRun.probe.path, ["standardInput", how], stdin: .descriptor(reading), stdout: .pipe)
      let line = String(decoding: try await #require(child.stdout).readLine(), as: UTF8.self)
      #expect(line == "non-blocking: \(!opensOnceMore)\n")
      if how == "killed" { try child.kill() }
      #expect(try await child.wait() == (how == "killed" ? -SIGKILL : 0))
      #expect(try !reading.isNonBlocking)
      if opensOnceMore { try writing.close() }
    }
  }

  @Test("what a pipe was given is its own until its end, also where it works on another descriptor")
  func claimsWhatItWasGiven() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.pipe.open()
      kernel.enrol(reading)
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, reading)
      #expect(kernel.count(of: .reopen) == 1)
      #expect(throws: EventLoopError.descriptorInUse) { try loop.addReader(reading) {} }
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      try writing.close()
    }
  }

  @Test("a report with nothing behind it does not have a blocking socket wait")
  func blockingSocket() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try PipeKind.socketPair.open()
      kernel.enrol(reading)
      let recorder = ReadRecorder()
      _ = try await loop.connectReadPipe({ recorder }, reading)
      #expect(try !reading.isNonBlocking)
      loop.readiness.watcher(of: reading)?.descriptorIsReady(.read)
      #expect(recorder.calls == [.made])
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      try writing.close()
    }
  }
}
