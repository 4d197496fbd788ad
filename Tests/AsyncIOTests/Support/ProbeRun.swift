// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// What a run of the probe, whose source is among the fixtures, has printed, and how it ended.
struct ProbeRun {
  var lines: [String]
  var errors = ""
  var status: Int32
  var wasKilledBy: Int32?

  /// The program.
  static var probe: URL { get throws { try program("MainThreadProbe") } }

  /// A program of this package.
  static func program(_ name: String) throws -> URL {
    // Beside the test bundle, or beside the program that runs it.
    let places =
      [Bundle.main.bundleURL, Bundle.main.bundleURL.deletingLastPathComponent()]
      + CommandLine.arguments.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
    let candidates = places.map { $0.appendingPathComponent(name) }
    return try #require(candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) })
  }

  /// Runs the probe to its end; sends it a signal when it prints the line, as often as it does.
  static func run(
    _ arguments: String..., interruptAt lines: Set<String> = [], by signal: Int32 = SIGINT
  ) async throws -> ProbeRun {
    let process = Process()
    process.executableURL = try probe
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    let errors = Pipe()
    process.standardError = errors
    let ended = OneShot<ProbeRun>()
    try process.run()
    let identifier = process.processIdentifier
    let reader = output.fileHandleForReading
    let thread = TestThread {
      var text = ""
      var seen = 0
      while true {
        let chunk = reader.availableData
        if chunk.isEmpty { break }
        text += String(decoding: chunk, as: UTF8.self)
        let complete = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        for line in complete.dropFirst(seen) where lines.contains(String(line)) { kill(identifier, signal) }
        seen = complete.count
      }
      ended.set(ProbeRun(lines: text.split(separator: "\n").map(String.init), status: 0))
    }
    await thread.ended()
    process.waitUntilExit()
    var result = ended.wait()
    result.status = process.terminationStatus
    result.errors = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    if process.terminationReason == .uncaughtSignal { result.wasKilledBy = process.terminationStatus }
    return result
  }
}
