// SPDX-License-Identifier: Apache-2.0
import AsyncIOProcessPool
import Foundation
import PoolJobs
import SystemPackage
import Testing

@testable import AsyncIO

/// What a program prints, until it ends.
private final class Output: SubprocessProtocol {
  var text: [UInt8] = []
  let end: Future<Void>
  init(_ loop: EventLoop) { end = Future(loop) }
  func pipeDataReceived(_ fd: Int32, _ data: Span<UInt8>) { for index in data.indices { text.append(data[index]) } }
  func connectionLost(_ error: (any Error)?) { try? end.setResult(()) }
  var lines: [String] { String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init) }
}

/// Programs that are no workers, or not yet.
@Suite struct ProcessPoolStartTests {
  /// The probe under another name, by which it knows what to do: a file that was just written may be busy, as long as
  /// some other child has it open.
  static func probe(as name: String, in folder: TemporaryFolder) throws -> FilePath {
    let path = folder.path(of: name)
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: try poolProbe().string)
    return FilePath(path)
  }

  private func probe(as name: String, in folder: TemporaryFolder) throws -> FilePath {
    try ProcessPoolStartTests.probe(as: name, in: folder)
  }

  private func startFailure(_ program: FilePath, _ limit: Duration = .seconds(25)) throws -> String {
    try runLoop { loop, _ in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 2, executable: program, startTimeout: limit)
      let tasks = (0..<3).map { number in loop.createTask { try await pool.run(Square(number)) } }
      var texts: Set<String> = []
      for task in tasks {
        let error = try await poolError { try await task.value }
        #expect(error.code == .startFailed)
        texts.insert(error.description)
      }
      try await loop.until { pool.workerProcesses.isEmpty && pool.workerCount == 0 }
      try await pool.shutdown()
      return texts.first ?? ""
    }
  }

  @Test("a program that does not exist") func noProgram() throws {
    #expect(try startFailure("/nonexistent/program").contains("no process could be started: exec /nonexistent/program"))
  }

  @Test("a program that ends without a word") func endsAtOnce() throws {
    let text = try startFailure("/bin/true")
    #expect(text.hasPrefix("no worker started: process ") && text.hasSuffix(" ended with exit code 0"))
  }

  @Test("a program that never says hello is killed") func neverSaysHello() throws {
    let folder = try TemporaryFolder()
    let text = try startFailure(try probe(as: "silent", in: folder), .milliseconds(50))
    #expect(text.hasSuffix(" did not call ProcessPoolExecutor.serveIfWorker within 0.05 seconds"))
  }

  @Test("a program that says something else first is killed") func saysSomethingElse() throws {
    let folder = try TemporaryFolder()
    let text = try startFailure(try probe(as: "garbling", in: folder))
    #expect(text.hasSuffix(" sent what is no answer"))
  }

  @Test(
    "a worker of another version is not used, nor one whose first word is about a job",
    arguments: ["outdated", "confused"])
  func otherVersion(_ name: String) throws {
    let folder = try TemporaryFolder()
    let text = try startFailure(try probe(as: name, in: folder))
    #expect(text.hasSuffix(" sent what is no answer"))
  }

  /// Runs the probe to its end, or until it has printed a line, and kills it then.
  private func run(_ arguments: [String], killAtLine: Bool = false) throws -> (lines: [String], code: Int32?) {
    try runLoop { loop, _ in
      let (transport, output) = try await loop.subprocessExec(
        { Output(loop) }, try poolProbe().string, arguments, stdin: .null, stderr: .inherit)
      if killAtLine {
        try await loop.until { output.lines.count == 1 && output.text.last == 10 }
        try transport.kill()
      }
      try await output.end.value
      return (output.lines, transport.returnCode)
    }
  }

  @Test("a program is its own worker") func ownWorker() throws {
    let (lines, code) = try run(["square"])
    #expect(lines == ["144"] && code == 0)
  }

  @Test("a program that has not called serveIfWorker cannot make a pool") func forgetful() throws {
    let (lines, code) = try run(["forgetful"])
    #expect(lines == ["ProcessPoolExecutor: call ProcessPoolExecutor.serveIfWorker first thing in main"] && code == 0)
  }

  @Test("workers end when their pool's process is killed, also in the middle of a job") func orphans() throws {
    let folder = try TemporaryFolder()
    let (lines, code) = try run(["busy", folder.path(of: "begun")], killAtLine: true)
    #expect(code == -SIGKILL)
    let pids = try #require(lines.first).split(separator: " ").compactMap { Int32($0) }
    #expect(pids.count == 2)
    try eventually("the workers end") { pids.allSatisfy { !isAlive($0) } }
  }

  /// Whether a process runs. Nobody may have reaped an orphan.
  private func isAlive(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !status.contains(") Z ")
  }

  @Test("a type whose name is not the same in every process is refused") func nameless() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      struct Local: ProcessJob {
        func run() -> Int { 0 }
      }
      ProcessPoolExecutor.serveIfWorker(Local.self)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("has no name that is the same in every process; give it a jobName"))
  }
}
