// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// A run of one of the examples, as a program beside the test.
final class ExampleRun {
  struct End {
    /// The exit status, or minus the signal that ended it.
    var code: Int32
    /// All that it printed.
    var output: String
    var errors: String
  }

  let process: ChildProcess
  /// What was read so far.
  private var output = ""

  init(_ loop: EventLoop, _ name: String, _ arguments: [String] = []) async throws {
    let program = try builtProgram(name).path(percentEncoded: false)
    // What runs the tests may ignore SIGINT, as a shell has a job in the background do, and what it ignores its children do.
    process = try await loop.createSubprocessExec(
      "env", ["--default-signal=INT,TERM", program] + arguments, stdin: .pipe, stdout: .pipe, stderr: .pipe)
  }

  func type(_ text: String) { process.stdin?.write(text) }

  func send(_ signals: Signal...) throws { for signal in signals { try process.sendSignal(signal) } }

  /// Reads up to the line with the text in it.
  @discardableResult
  func line(containing text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
    while true {
      let line = String(decoding: try await process.stdout?.readLine() ?? [], as: UTF8.self)
      output += line
      if line.contains(text) { return line }
      if line.isEmpty {
        let (_, errors) = try await process.communicate()
        Issue.record(
          "no line has \"\(text)\":\n\(output)\(String(decoding: errors ?? [], as: UTF8.self))",
          sourceLocation: sourceLocation)
        throw TestError()
      }
    }
  }

  /// The port that a line with the text in it ends with, or has before a slash.
  func port(inLineContaining text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int {
    let line = try await line(containing: text, sourceLocation: sourceLocation)
    let match = try #require(line.firstMatch(of: /:([0-9]+)\b/), sourceLocation: sourceLocation)
    return try #require(Int(match.1), sourceLocation: sourceLocation)
  }

  /// Waits for its end.
  func end() async throws -> End {
    let code = try await process.wait()
    let (rest, errors) = try await process.communicate()
    output += String(decoding: rest ?? [], as: UTF8.self)
    return End(code: code, output: output, errors: String(decoding: errors ?? [], as: UTF8.self))
  }
}

/// Runs a test of examples, which has a limit that none of them comes near.
func runExamples(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping (EventLoop) async throws -> Void
) throws {
  try runProcessLoop(sourceLocation: sourceLocation) { loop, _ in
    try await loop.withTimeout(.seconds(100)) { try await body(loop) }
  }
}
