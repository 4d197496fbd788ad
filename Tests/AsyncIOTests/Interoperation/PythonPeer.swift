// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// A process that runs Python, and what it prints, line by line.
final class PythonPeer {
  private let process: CommandPeer

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
    process = try CommandPeer(loop, ["python3"] + command, readsErrors: false)
  }

  /// The next line that it prints; empty at the end.
  func line() async throws -> String { try await process.line() }

  /// The number in the next line.
  func number() async throws -> Int { try #require(Int(try await line())) }

  /// Ends its input, reads the rest of its output, and waits until it has exited.
  func finish() async throws {
    let (status, rest) = try await process.finish()
    #expect(rest == "", "nothing more is printed")
    #expect(status == 0, "the exit status of python3")
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
