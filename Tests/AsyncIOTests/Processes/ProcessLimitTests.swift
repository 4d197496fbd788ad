// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Numbers of child processes at their limits and beyond.
@Suite("Child processes: numbers at their limits")
struct ProcessLimitTests {
  @Test("numbers that the system refuses are errors, and leave nothing", arguments: [Int32.min, -1, .max])
  func options(_ number: Int32) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kernel.makePipe()
      for change in [
        { $0.processGroup = number }, { $0.descriptors = [number: reading] },
        { $0.descriptors = [3: FileDescriptor(rawValue: number)] },
      ] as [(inout SubprocessOptions) -> Void] {
        var options = SubprocessOptions()
        change(&options)
        let error = await thrown { try await loop.createSubprocessExec("/bin/true", options: options) }
        #expect(error is IOError || error is EventLoopError)
      }
      #expect(kernel.children.current == [])
      try kernel.close(reading)
      try kernel.close(writing)
    }
  }

  @Test("a signal that is none is an error", arguments: [Int32.min, -1, 65, .max])
  func signals(_ number: Int32) throws {
    try runLoop { loop, kernel in
      let child = try await loop.createSubprocessExec("/bin/sleep", ["60"])
      let error = try await ioError { try child.transport.sendSignal(Signal(rawValue: number)) }
      #expect(error.code == .invalidArgument)
      try child.kill()
      #expect(try await child.wait() == -9)
    }
  }

  @Test("a terminal of any size", arguments: [UInt16.min, 1, .max])
  func terminals(_ size: UInt16) throws {
    try runLoop { loop, kernel in
      let child = try await loop.createSubprocessExec(
        "/bin/stty", ["size"], on: .pty(rows: size, columns: size))
      let text = String(decoding: try await #require(child.stdout).read(), as: UTF8.self)
      #expect(text == "\(size) \(size)\r\n")
      #expect(try await child.wait() == 0)
    }
  }

  @Test("the pipe of a number that there is none of", arguments: [Int32.min, -1, 0, 3, .max])
  func pipes(_ number: Int32) throws {
    try runLoop { loop, kernel in
      let child = try await loop.createSubprocessExec("/bin/true", stdout: .pipe)
      #expect(child.transport.pipeTransport(number) == nil)
      #expect(try await child.wait() == 0)
    }
  }
}
