// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// Pipes whose other end is another program.
@Suite("Pipes to other programs")
struct PipePeerTests {
  /// Runs a program; its exit status comes on the loop.
  private func start(
    _ loop: EventLoop, _ program: String, _ arguments: [String], standardInput: FileHandle? = nil,
    standardOutput: FileHandle? = nil
  ) throws -> Future<Int32> {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    if let standardInput { process.standardInput = standardInput }
    if let standardOutput { process.standardOutput = standardOutput }
    let exit = Future<Int32>(loop)
    let remote = loop.remote
    let answer = LoopBound(exit)
    process.terminationHandler = { process in
      let status = process.terminationStatus
      _ = try? remote.callSoonThreadsafe { _ in try answer.value.setResult(status) }
    }
    try process.run()
    return exit
  }

  /// A duplicate that other programs do not inherit: an end of a pipe that lives on elsewhere never ends.
  private func duplicate(_ handle: FileHandle, _ kernel: TestKernel) throws -> FileDescriptor {
    let descriptor = FileDescriptor(rawValue: fcntl(handle.fileDescriptor, F_DUPFD_CLOEXEC, 0))
    kernel.enrol(descriptor)
    try handle.close()
    return descriptor
  }

  private func openFIFO(_ path: String, _ mode: FileDescriptor.AccessMode, _ kernel: TestKernel) throws
    -> FileDescriptor?
  {
    do {
      let descriptor = try FileDescriptor.open(FilePath(path), mode, options: [.nonBlocking, .closeOnExec])
      kernel.enrol(descriptor)
      return descriptor
    } catch Errno.noSuchAddressOrDevice {
      // Nobody reads it yet.
      return nil
    }
  }

  @Test("four mebibytes through cat, by two FIFOs, with back-pressure both ways")
  func cat() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let (there, back) = (try folder.fifo("there"), try folder.fifo("back"))
      let reading = try #require(try openFIFO(back, .readOnly, kernel))
      let exit = try start(loop, "sh", ["-c", "exec cat < \(there) > \(back)"])
      let reader = try await loop.openReadPipe(reading)
      var opened: FileDescriptor?
      try await loop.until("cat opens its input") {
        opened = try openFIFO(there, .writeOnly, kernel)
        return opened != nil
      }
      let writer = try await loop.openWritePipe(try #require(opened))
      let bytes = pattern(4 << 20)
      let sender = loop.createTask {
        for start in stride(from: 0, to: bytes.count, by: 1 << 18) {
          try await writer.send(Array(bytes[start..<start + 1 << 18]))
        }
        writer.writeEOF()
      }
      #expect(try await reader.read() == bytes)
      try await sender.value
      #expect(try await exit.value == 0)
    }
  }

  @Test("a program that stops reading is noticed")
  func head() throws {
    try runLoop { loop, kernel in
      let input = Pipe()
      let output = Pipe()
      let exit = try start(
        loop, "head", ["-n", "1"], standardInput: input.fileHandleForReading,
        standardOutput: output.fileHandleForWriting)
      try input.fileHandleForReading.close()
      try output.fileHandleForWriting.close()
      let writer = try await loop.openWritePipe(try duplicate(input.fileHandleForWriting, kernel))
      let reader = try await loop.openReadPipe(try duplicate(output.fileHandleForReading, kernel))
      let error = try await ioError { while true { try await writer.send("the same line again\n") } }
      #expect([.brokenPipe, .connectionReset].contains(error.code))
      #expect(try await reader.read() == octets("the same line again\n"))
      #expect(try await exit.value == 0)
    }
  }

  @Test(
    "standard input and output of a program of ours: a pipe, a terminal, and a device",
    arguments: [
      "pipe", "terminal", "null",
    ])
  func standardStreams(_ kind: String) throws {
    try runLoop { loop, kernel in
      let output = Pipe()
      let probe = try ProbeRun.probe.path(percentEncoded: false)
      let script = try #require(
        Bundle.module.url(forResource: "pipes", withExtension: "py", subdirectory: "Fixtures"))
      let exit = try start(
        loop, "python3", [script.path(percentEncoded: false), kind, probe], standardOutput: output.fileHandleForWriting)
      try output.fileHandleForWriting.close()
      let reader = try await loop.openReadPipe(try duplicate(output.fileHandleForReading, kernel))
      var lines: [String] = []
      for try await line in reader.lines { lines.append(line) }
      #expect(lines == ["ok"])
      #expect(try await exit.value == 0)
    }
  }
}
