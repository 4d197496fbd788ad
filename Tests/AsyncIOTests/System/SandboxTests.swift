// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// Programs to which the system gives less than it could. Each test is a run of the probe, whose source is among the
/// fixtures, under the limit.
@Suite struct SandboxTests {
  /// The probe's lines, each what it tried and how that went.
  private func run(_ program: String, _ arguments: [String]) throws -> [(name: String, outcome: String)] {
    try runProcessLoop { loop, _ in
      let process = try await loop.createSubprocessExec(program, arguments, stdin: .null, stdout: .pipe, stderr: .pipe)
      let (output, errors) = try await process.communicate()
      let text = String(decoding: errors ?? [], as: UTF8.self)
      #expect(process.returnCode == 0, "\(arguments): \(text)")
      var lines = String(decoding: output ?? [], as: UTF8.self).split(separator: "\n")
      #expect(lines.popLast() == "done", "\(arguments): \(text)")
      return lines.map { line in
        let parts = line.split(separator: ": ", maxSplits: 1)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
      }
    }
  }

  private static let all = [
    "run", "sleep", "main actor", "thread", "signal", "process", "killed process", "terminal", "pipe", "connection",
    "datagrams",
  ]

  /// What is to be run for the probe to be under a filter that answers newer calls with the error.
  private func sandboxed(_ code: Errno, _ arguments: [String]) throws -> (program: String, arguments: [String]) {
    let script = try #require(Bundle.module.url(forResource: "sandbox", withExtension: "py", subdirectory: "Fixtures"))
    let probe = try ProbeRun.probe.path(percentEncoded: false)
    return ("python3", [script.path(percentEncoded: false), "\(code.rawValue)", probe] + arguments)
  }

  @Test(
    "where newer system calls are refused, everything works by older ones",
    arguments: [Errno.notPermitted, .noFunction, .invalidArgument, .permissionDenied])
  func refusedCalls(_ code: Errno) throws {
    let (program, arguments) = try sandboxed(code, ["facilities"])
    let results = try run(program, arguments)
    #expect(results.map(\.name) == SandboxTests.all)
    for (name, outcome) in results { #expect(outcome == "fine", "\(name)") }
  }

  @Test(
    "with few descriptors each thing works, or fails with the system's error; the process never dies of it",
    arguments: [false, true])
  func fewDescriptors(refusesCalls: Bool) throws {
    let probe = try ProbeRun.probe.path(percentEncoded: false)
    for count in 3...24 {
      let plain = ["few descriptors", "\(count)"]
      // Without the newer calls, descriptors must be kept from children with none to spare for finding them.
      let (program, arguments) =
        try refusesCalls ? sandboxed(.notPermitted, plain) : (program: probe, arguments: plain)
      let results = try run(program, arguments)
      #expect(results.first?.name == "run")
      for (name, outcome) in results {
        // A server that cannot accept tries again later.
        let isRight =
          outcome == "fine" || outcome.contains("Too many open files")
          || name == "connection" && outcome == "has not ended"
        #expect(isRight, "\(count) descriptors, \(name): \(outcome)")
      }
      // The loop takes three more than the standard ones, for polling, for waking, and for the main queue.
      #expect((results.first?.outcome == "fine") == (count >= 6), "\(count) descriptors")
      if count == 24 { #expect(results.allSatisfy { $0.outcome == "fine" }, "\(results)") }
    }
  }
}
