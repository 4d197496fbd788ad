// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// What a child is given in bytes that are not UTF-8, and programs that are told another name than their own.
@Suite struct SubprocessBytesTests {
  private let odd: [UInt8] = [0x61, 0xFF, 0xC3, 0x62]

  private func output(
    _ loop: EventLoop, _ program: any SystemText, _ arguments: [any SystemText], _ options: SubprocessOptions
  ) async throws -> [UInt8] {
    let process = try await loop.createSubprocessExec(program, arguments, stdout: .pipe, options: options)
    return try await process.communicate().0 ?? []
  }

  @Test("arguments arrive byte for byte, whatever mix of types they are")
  func arguments() throws {
    try runProcessLoop { (loop, _) async throws in
      let words = ["plain", "ü"]
      #expect(
        try await output(loop, "printf", ["%s|%s|%s", "ü", odd, FilePath(systemBytes: odd)], SubprocessOptions())
          == Array("ü|".utf8) + odd + [0x7C] + odd)
      #expect(try await output(loop, "echo", words, SubprocessOptions()) == Array("plain ü\n".utf8))
    }
  }

  @Test("a shell command is passed on byte for byte")
  func shellCommand() throws {
    try runProcessLoop { (loop, _) async throws in
      let command = Array("printf %s ".utf8) + odd
      let process = try await loop.createSubprocessShell(command, stdout: .pipe)
      #expect(try await process.communicate().0 == odd)
    }
  }

  @Test("program and working directory are found by bytes that are not UTF-8; errors show them")
  func paths() throws {
    try runProcessLoop { (loop, kernel) async throws in
      let folder = try TemporaryFolder()
      let place = Array(folder.path.utf8) + [0x2F] + odd
      // Made by the shell, which takes bytes for what they are.
      let making =
        Array("d=".utf8) + place
        + Array("; mkdir $d; printf '#!/bin/sh\\nprintf %s \"$0\"' >$d/run; chmod +x $d/run".utf8)
      #expect(try await loop.createSubprocessShell(making).wait() == 0)
      let program = place + Array("/run".utf8)
      #expect(try await output(loop, program, [], SubprocessOptions()) == program)
      let inside = SubprocessOptions(workingDirectory: FilePath(systemBytes: place))
      #expect(try await output(loop, "./run", [], inside) == Array("./run".utf8))
      #expect(try await output(loop, "pwd", [], inside) == place + [10])
      var environment = ChildEnvironment()
      environment[bytes: Array("PATH".utf8)] = Array("/nowhere:".utf8) + place + Array(":/bin".utf8)
      #expect(try await output(loop, "run", [], SubprocessOptions(environment: environment)) == program)

      let missing = try await ioError { try await output(loop, odd, [], SubprocessOptions()) }
      #expect(missing == IOError(.noSuchFileOrDirectory, "exec", "a\\xFF\\xC3b"))
      let nowhere = SubprocessOptions(workingDirectory: odd)
      #expect(
        try await ioError { try await output(loop, "true", [], nowhere) }
          == IOError(.noSuchFileOrDirectory, "chdir", "a\\xFF\\xC3b"))
    }
  }

  @Test("names and values of environment variables are bytes too")
  func environment() throws {
    try runProcessLoop { (loop, _) async throws in
      var environment = ChildEnvironment(["PLAIN": "ü", "ODD": odd])
      environment[bytes: odd] = [0xFE]
      environment["GONE"] = "x"
      environment["GONE"] = nil
      #expect(environment["PLAIN"] == "ü" && environment["ODD"] == "a\u{FFFD}\u{FFFD}b" && environment["GONE"] == nil)
      #expect(environment[bytes: odd] == [0xFE])
      let lines = try await output(loop, "/usr/bin/env", [], SubprocessOptions(environment: environment)).split(
        separator: 10)
      let expected: Set<[UInt8]> = [Array("PLAIN=ü".utf8), Array("ODD=".utf8) + odd, odd + [0x3D, 0xFE]]
      #expect(Set(lines.map { Array($0) }) == expected)
    }
  }

  @Test("a copy of our environment is what a child has by default, and can be changed")
  func currentEnvironment() throws {
    try runProcessLoop { (loop, _) async throws in
      func entries(_ environment: ChildEnvironment?) async throws -> Set<[UInt8]> {
        let options = SubprocessOptions(environment: environment)
        let text = try await output(loop, "/usr/bin/env", ["-0"], options)
        return Set(text.split(separator: 0).map { Array($0) })
      }
      var environment = ChildEnvironment.current
      #expect(environment["PATH"] == ProcessInfo.processInfo.environment["PATH"])
      let inherited = try await entries(nil)
      #expect(try await entries(environment) == inherited)
      environment["ASYNCIO_TEST"] = "new"
      #expect(try await entries(environment) == inherited.union([Array("ASYNCIO_TEST=new".utf8)]))
    }
  }

  @Test("an environment is read byte for byte; the first of a name counts, and what has no name is left out")
  func entries() {
    let lines = ["A=1", "A=2", "B=x=y", "C=", "=D", "E"].map { Array($0.utf8) } + [odd + [0x3D] + odd]
    let environment = ChildEnvironment(entries: lines)
    let expected: ChildEnvironment = ["A": "1", "B": "x=y", "C": ""]
    #expect(environment == expected.with(odd, odd))
  }

  @Test("the executable is run, and told the program's name; in a shell command it is the shell")
  func executable() throws {
    try runProcessLoop { (loop, _) async throws in
      let options = SubprocessOptions(executable: "/bin/sh")
      let told = try await output(loop, "a name of its own", ["-c", "printf %s \"$0\""], options)
      #expect(told == Array("a name of its own".utf8))
      #expect(try await output(loop, odd, ["-c", "printf %s \"$0\""], SubprocessOptions(executable: "sh")) == odd)
      let shell = try await loop.createSubprocessShell(
        "the command", stdout: .pipe, options: SubprocessOptions(executable: FilePath("/bin/echo")))
      #expect(try await shell.communicate().0 == Array("-c the command\n".utf8))
      let missing = try await ioError {
        try await output(loop, "true", [], SubprocessOptions(executable: "/nonexistent/program"))
      }
      #expect(missing == IOError(.noSuchFileOrDirectory, "exec", "/nonexistent/program"))
      let zero = await thrown { try await output(loop, "true", [], SubprocessOptions(executable: "a\0")) }
      #expect(zero as? EventLoopError == .badArgument)
    }
  }
}

extension ChildEnvironment {
  fileprivate func with(_ name: [UInt8], _ value: [UInt8]) -> ChildEnvironment {
    var copy = self
    copy[bytes: name] = value
    return copy
  }
}
