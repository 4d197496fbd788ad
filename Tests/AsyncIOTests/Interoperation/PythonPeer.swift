// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// A process that runs Python, and what it prints, line by line.
final class PythonPeer {
  private let loop: EventLoop
  private let process = Process()
  private let output = Pipe()
  private let input = Pipe()
  private let reader: StreamReader
  private let exit: Future<Int32>

  /// Starts `peer.py`, with asyncio's half of streams.
  convenience init(_ loop: EventLoop, _ arguments: String...) throws {
    let script = try #require(Bundle.module.url(forResource: "peer", withExtension: "py", subdirectory: "Fixtures"))
    try self.init(loop, command: [script.path(percentEncoded: false)] + arguments)
  }

  /// Starts a program of the test's own.
  convenience init(_ loop: EventLoop, program: String, _ arguments: String...) throws {
    try self.init(loop, command: ["-c", program] + arguments)
  }

  private init(_ loop: EventLoop, command: [String]) throws {
    self.loop = loop
    reader = try StreamReader(loop)
    exit = Future<Int32>(loop)
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3"] + command
    process.standardOutput = output
    process.standardInput = input
    let remote = loop.remote
    let exit = LoopBound(exit)
    process.terminationHandler = { process in
      let status = process.terminationStatus
      // A loop that is over does not want to know.
      try? remote.callSoonThreadsafe { _ in try exit.value.setResult(status) }
    }
    try process.run()
    let descriptor = FileDescriptor(rawValue: output.fileHandleForReading.fileDescriptor)
    try loop.addReader(descriptor) { [unowned self] in
      let data = output.fileHandleForReading.availableData
      if !data.isEmpty {
        reader.feedData([UInt8](data))
      } else {
        try loop.removeReader(descriptor)
        reader.feedEOF()
      }
    }
  }

  /// The next line that it prints; empty at the end.
  func line() async throws -> String {
    String(decoding: try await reader.readLine(), as: UTF8.self).trimmingCharacters(in: .newlines)
  }

  /// The number in the next line.
  func number() async throws -> Int { try #require(Int(try await line())) }

  /// Ends its input, reads the rest of its output, and waits until it has exited.
  func finish() async throws {
    try input.fileHandleForWriting.close()
    #expect(try await reader.read() == [], "nothing more is printed")
    #expect(try await exit.value == 0, "the exit status of python3")
  }

  /// Bytes that differ from place to place; `peer.py` makes the same.
  static func pattern(_ count: Int) -> [UInt8] {
    let block = (0..<65521).map { UInt8(truncatingIfNeeded: $0 * 7 + ($0 >> 8)) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + block.count)
    while bytes.count < count { bytes += block }
    bytes.removeLast(bytes.count - count)
    return bytes
  }
}
