// SPDX-License-Identifier: Apache-2.0
import Glibc
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SubprocessFailureTests {
  /// What starting the program throws; it must leave nothing behind, which the fixture checks.
  private func failure(
    _ loop: EventLoop, _ program: String, _ arguments: [String] = [], options: SubprocessOptions = SubprocessOptions(),
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> IOError {
    let before = childrenOfThread()
    let recorder = ProcessRecorder()
    let error = try await ioError(sourceLocation: sourceLocation) {
      try await loop.subprocessExec({ recorder }, program, arguments, options: options)
    }
    // Of an earlier test there may be some that are about to be reaped.
    let left = childrenOfThread().subtracting(before)
    #expect(left == [], "a zombie was left", sourceLocation: sourceLocation)
    #expect(recorder.calls == [], sourceLocation: sourceLocation)
    return error
  }

  @Test("a program that does not exist is an error of the call, with its name and ENOENT")
  func missingProgram() throws {
    try runProcessLoop { loop, _ in
      let byName = try await failure(loop, "no-such-program-anywhere", ["x"])
      #expect(byName == IOError(.noSuchFileOrDirectory, "exec", "no-such-program-anywhere"))
      #expect(byName.description == "exec no-such-program-anywhere: No such file or directory (ENOENT)")
      let byPath = try await failure(loop, "/nonexistent/program")
      #expect(byPath == IOError(.noSuchFileOrDirectory, "exec", "/nonexistent/program"))
      #expect(try await failure(loop, "").code == .noSuchFileOrDirectory)
    }
  }

  @Test("not even the pidfd of a child that could not run its program is left")
  func noDescriptorLeft() async {
    // In a process of its own, where nobody else has children.
    await #expect(processExitsWith: .success) {
      try runProcessLoop { loop, _ in
        func pidfds() throws -> Int {
          try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
            return target?.contains("pidfd") == true
          }
        }
        let before = try pidfds()
        for _ in 0..<3 {
          #expect(await thrown { try await loop.subprocessExec({ ProcessRecorder() }, "no-such-program") } is IOError)
        }
        #expect(try pidfds() == before)
      }
    }
  }

  @Test("a file that may not be run, one that is no program, and a file in the place of a folder")
  func unusablePrograms() throws {
    try runProcessLoop { loop, _ in
      let folder = try TemporaryFolder()
      try folder.file(Array("text".utf8), name: "text").close()
      let path = folder.path(of: "text")
      #expect(try await failure(loop, path) == IOError(.permissionDenied, "exec", path))
      #expect(chmod(path, 0o755) == 0)
      #expect(try await failure(loop, path) == IOError(.execFormatError, "exec", path))
      #expect(try await failure(loop, "\(path)/program").code == .notDirectory)
      #expect(try await failure(loop, folder.path).code == .permissionDenied)
    }
  }

  @Test("in the search by PATH, a file that may not be run counts for more than folders without one")
  func searchErrors() throws {
    try runProcessLoop { loop, _ in
      let folder = try TemporaryFolder()
      try folder.file([], name: "tool").close()
      let options = SubprocessOptions(environment: ["PATH": "/nonexistent:\(folder.path):/dev/null:/bin"])
      #expect(try await failure(loop, "tool", options: options).code == .permissionDenied)
      let (_, recorder) = try await loop.subprocessExec({ ProcessRecorder() }, "true", options: options)
      try await loop.until("it ends") { recorder.isLost }
      #expect(recorder.transport.returnCode == 0)
    }
  }

  @Test("too many arguments")
  func tooManyArguments() throws {
    try runProcessLoop { loop, _ in
      let long = String(repeating: "x", count: 100_000)
      let error = try await failure(loop, "true", Array(repeating: long, count: 100))
      #expect(error.code == .argListTooLong)
      #expect(error.operation == "exec")
    }
  }

  @Test("a bad working directory is told from a bad program")
  func badDirectory() throws {
    try runProcessLoop { loop, _ in
      let missing = try await failure(loop, "true", options: SubprocessOptions(workingDirectory: "/nonexistent"))
      #expect(missing == IOError(.noSuchFileOrDirectory, "chdir", "/nonexistent"))
      let file = try await failure(loop, "true", options: SubprocessOptions(workingDirectory: "/etc/passwd"))
      #expect(file == IOError(.notDirectory, "chdir", "/etc/passwd"))
    }
  }

  @Test("descriptors that are closed, and groups that do not exist")
  func badOptions() throws {
    try runProcessLoop { loop, _ in
      let closed = try await failure(
        loop, "true", options: SubprocessOptions(descriptors: [9: FileDescriptor(rawValue: 900_000)]))
      #expect(closed == IOError(.badFileDescriptor, "dup2", "descriptor 900000"))
      let target = try await failure(
        loop, "true", options: SubprocessOptions(descriptors: [1_000_000_000: .standardError]))
      #expect(target == IOError(.badFileDescriptor, "dup2", "descriptor 2"))
      let group = try await failure(loop, "true", options: SubprocessOptions(processGroup: 1))
      #expect(group == IOError(.notPermitted, "setpgid", "process group 1"))
    }
  }

  @Test("A text with a zero byte, a bad name of a variable, or a standard stream among the descriptors is refused")
  func badArguments() throws {
    try runProcessLoop { loop, kernel in
      let cases: [(String, [String], SubprocessOptions)] = [
        ("tr\0ue", [], SubprocessOptions()),
        ("true", ["a", "b\0"], SubprocessOptions()),
        ("true", [], SubprocessOptions(workingDirectory: "/\0")),
        ("true", [], SubprocessOptions(environment: ["A\0": "b"])),
        ("true", [], SubprocessOptions(environment: ["A": "\0b"])),
        ("true", [], SubprocessOptions(environment: ["": "b"])),
        ("true", [], SubprocessOptions(environment: ["A=": "b"])),
        ("true", [], SubprocessOptions(descriptors: [2: .standardInput])),
        ("true", [], SubprocessOptions(descriptors: [-1: .standardInput])),
      ]
      for (program, arguments, options) in cases {
        let error = await thrown {
          try await loop.subprocessExec({ ProcessRecorder() }, program, arguments, options: options)
        }
        #expect((error as? EventLoopError)?.code == .invalidArgument, "\(program) \(arguments) \(options)")
      }
      let error = await thrown { try await loop.subprocessShell({ ProcessRecorder() }, "echo \0") }
      #expect((error as? EventLoopError)?.code == .invalidArgument)
      #expect(kernel.count(of: .spawn) == 0)
      #expect(kernel.count(of: .makePipe) == 0)
    }
  }

  @Test("What the factory throws comes before anything is started")
  func factoryThrows() throws {
    try runProcessLoop { loop, kernel in
      func fail() throws -> ProcessRecorder { throw TestError(number: 5) }
      let error = await thrown { try await loop.subprocessExec(fail, "true") }
      #expect(error as? TestError == TestError(number: 5))
      #expect(kernel.count(of: .spawn) == 0)
    }
  }

  @Test(
    "whatever fails on the way, nothing is left",
    arguments: [
      (TestKernel.Call.makePipe, 0, "pipe"), (.makePipe, 1, "pipe"), (.makePipe, 2, "pipe"),
      (.setNonBlocking, 0, "fcntl"), (.setNonBlocking, 2, "fcntl"), (.spawn, 0, "clone"),
    ])
  func injectedFailures(call: TestKernel.Call, skip: Int, operation: String) throws {
    try runProcessLoop { loop, kernel in
      kernel.inject(.tooManyOpenFiles, into: call, skip: skip)
      let error = try await failure(loop, "cat")
      #expect(error.code == .tooManyOpenFiles)
      #expect(error.operation == operation)
    }
  }

  @Test("no null device, and no terminal")
  func injectedOpenFailures() throws {
    try runProcessLoop { loop, kernel in
      kernel.inject(.tooManyOpenFiles, into: .openNullDevice, skip: 1)
      let null = try await ioError {
        try await loop.subprocessExec({ ProcessRecorder() }, "true", stdin: .null, stdout: .pipe, stderr: .null)
      }
      #expect(null == IOError(.tooManyOpenFiles, "open", "/dev/null"))
      kernel.inject(.noMemory, into: .makeTerminal)
      let terminal = try await ioError { try await loop.subprocessExec({ ProcessRecorder() }, "true", on: .pty()) }
      #expect(terminal == IOError(.noMemory, "posix_openpt"))
      kernel.inject(.tooManyOpenFiles, into: .duplicate)
      let second = try await ioError { try await loop.subprocessExec({ ProcessRecorder() }, "true", on: .pty()) }
      #expect(second.operation == "dup")
    }
  }

  @Test("cancelling the creating call kills and reaps the child")
  func cancellation() throws {
    try runProcessLoop { loop, kernel in
      let recorder = ProcessRecorder()
      var task: LoopTask<Void>?
      // The earliest moment at which there is a child.
      recorder.onMade = { _ in task?.cancel() }
      task = loop.createTask { _ = try await loop.subprocessExec({ recorder }, "cat") }
      let error = await thrown { try await task?.value }
      #expect(error is CancellationError)
      #expect(recorder.transport.returnCode == -9)
      #expect(recorder.isLost)
      #expect(kernel.children.current == [])
      task = nil
    }
  }

  @Test("a task that is cancelled already starts nothing")
  func cancelledBefore() throws {
    try runProcessLoop { loop, kernel in
      let task = loop.createTask { _ = try await loop.subprocessExec({ ProcessRecorder() }, "cat") }
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      #expect(kernel.count(of: .spawn) == 0)
    }
  }
}

/// The children that this thread started and nobody reaped.
private func childrenOfThread() -> Set<Int32> {
  guard let file = fopen("/proc/thread-self/children", "r") else { return [] }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 16)
  let count = fread(&bytes, 1, bytes.count, file)
  return Set(String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ").compactMap { Int32($0) })
}
