// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// A program that runs beside a test, with its input and what it prints, errors and all.
final class CommandPeer {
  private let loop: EventLoop
  private let process = Process()
  private let output = Pipe()
  private let input = Pipe()
  private let reader: StreamReader
  private let exit: Future<Int32>
  /// Everything that was read so far.
  private(set) var text = ""

  /// Starts a program with its arguments.
  convenience init(_ loop: EventLoop, _ arguments: String...) throws { try self.init(loop, arguments) }

  /// - Parameter readsErrors: whether what it prints to its standard error is read too.
  init(_ loop: EventLoop, _ arguments: [String], readsErrors: Bool = true) throws {
    self.loop = loop
    reader = try StreamReader(loop)
    exit = Future<Int32>(loop)
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = arguments
    process.standardOutput = output
    if readsErrors { process.standardError = output }
    process.standardInput = input
    let remote = loop.remote
    let exit = LoopBound(exit)
    process.terminationHandler = { process in
      let status = process.terminationStatus
      // A loop that is over does not want to know.
      _ = try? remote.callSoonThreadsafe { _ in try exit.value.setResult(status) }
    }
    try process.run()
    let descriptor = FileDescriptor(rawValue: output.fileHandleForReading.fileDescriptor)
    // A test that fails leaves this behind before the program is done. The loop owns what it calls.
    try loop.addReader(descriptor) { [output, reader, unowned loop] in
      let data = output.fileHandleForReading.availableData
      if !data.isEmpty {
        reader.feedData([UInt8](data))
      } else {
        try loop.removeReader(descriptor)
        reader.feedEOF()
      }
    }
  }

  /// The next line, without its end; nothing at the end of the output.
  func line() async throws -> String {
    String(decoding: try await reader.readLine(), as: UTF8.self).trimmingCharacters(in: .newlines)
  }

  /// Reads lines up to one with the text in it, and answers that.
  func line(containing part: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
    while true {
      let line = String(decoding: try await reader.readLine(), as: UTF8.self)
      text += line
      if line.contains(part) { return line.trimmingCharacters(in: .newlines) }
      if line.isEmpty {
        Issue.record("no line has \"\(part)\":\n\(text)", sourceLocation: sourceLocation)
        throw TestError()
      }
    }
  }

  func write(_ text: String) throws { try input.fileHandleForWriting.write(contentsOf: Data(text.utf8)) }

  /// Ends its input, reads the rest of its output, and waits for its exit.
  func finish() async throws -> (status: Int32, text: String) {
    try input.fileHandleForWriting.close()
    return try await finishReading()
  }

  /// The same with its input left open.
  func finishReading() async throws -> (status: Int32, text: String) {
    text += String(decoding: try await reader.read(), as: UTF8.self)
    return (try await exit.value, text)
  }
}
