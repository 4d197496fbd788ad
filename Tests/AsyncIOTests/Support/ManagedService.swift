// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// The example of graceful restarts as a service, started by a manager that is written in Python.
///
/// The program is a symbolic link, so that a test can have something else lie there.
final class ManagedService {
  private let loop: EventLoop
  private let folder: TemporaryFolder
  private let manager: CommandPeer
  /// What became of every process that has ended.
  private(set) var ends: [Int32: Int32] = [:]
  /// What was told, and by whom.
  private(set) var told: [(sender: Int32, message: String)] = []
  /// The other lines.
  private(set) var lines: [String] = []
  private(set) var isOver = false
  /// Where the manager's sockets are.
  private(set) var addresses: [String] = []
  private(set) var firstProcess: Int32 = 0

  /// - Parameters:
  ///   - sockets: as `manager.py` wants them.
  ///   - arguments: the example's.
  init(_ loop: EventLoop, _ folder: TemporaryFolder, sockets: String, _ arguments: [String] = []) async throws {
    self.loop = loop
    self.folder = folder
    let script = try #require(Bundle.module.url(forResource: "manager", withExtension: "py", subdirectory: "Fixtures"))
    let program = folder.path(of: "service")
    try FileManager.default.createSymbolicLink(
      atPath: program, withDestinationPath: try builtProgram("graceful-restart").path)
    manager = try CommandPeer(
      loop, ["python3", script.path(percentEncoded: false), folder.path, sockets, program] + arguments)
    loop.createTask(name: "the manager's lines") { [self] in
      while true {
        let line = try await manager.line()
        if line.isEmpty { break }
        note(line)
      }
      isOver = true
    }
    try await loop.until("the service is ready") { self.readyProcesses.count == 1 }
  }

  private func note(_ line: String) {
    let words = line.split(separator: " ", maxSplits: 2).map(String.init)
    let number = words.dropFirst().first.flatMap { Int32($0) }
    switch (words.first, number) {
    case ("listening", _): addresses.append(words[1])
    case ("started", let number?): firstProcess = number
    case ("told", let number?): told.append((number, words[2]))
    case ("ended", let number?): ends[number] = Int32(words[2])
    default: lines.append(line)
    }
  }

  /// Those that have said of themselves that they are ready, in their order.
  var readyProcesses: [Int32] {
    var processes: [Int32] = []
    for (sender, message) in told where message == "READY=1|STATUS=serving" && !processes.contains(sender) {
      processes.append(sender)
    }
    return processes
  }

  /// The process that serves.
  var process: Int32 { readyProcesses.last ?? 0 }

  func send(_ signal: Int32) { kill(process, signal) }

  /// Replaces the process by another, and waits until the old one has ended.
  func restart() async throws {
    let (old, count) = (process, readyProcesses.count)
    send(SIGHUP)
    try await loop.until("a successor is ready") { self.readyProcesses.count == count + 1 }
    try await loop.until("the old process has ended") { self.ends[old] != nil }
  }

  /// Has another program lie where the service's is.
  func replaceProgram(by path: String) throws {
    let next = folder.path(of: "next")
    try FileManager.default.createSymbolicLink(atPath: next, withDestinationPath: path)
    try #require(rename(next, folder.path(of: "service")) == 0)
  }

  /// Waits for the manager's end, which is that of all processes.
  func finish() async throws {
    try await loop.until("all have ended") { self.isOver }
    _ = try await manager.finishReading()
  }
}

/// Clients that ask again and again, and count.
final class SteadyClients {
  private let loop: EventLoop
  private let connect: () async throws -> (reader: StreamReader, writer: StreamWriter)
  private var tasks: [LoopTask<Void>] = []
  private var isEnding = false
  /// How many requests were answered, by the process that did.
  private(set) var answers: [Int32: Int] = [:]
  private(set) var requestCount = 0

  init(
    _ loop: EventLoop, count: Int,
    _ connect: @escaping () async throws -> (reader: StreamReader, writer: StreamWriter)
  ) {
    self.loop = loop
    self.connect = connect
    tasks = (0..<count).map { number in
      loop.createTask(name: "client \(number)") { [self] in
        while !isEnding { try await ask(number) }
      }
    }
  }

  /// Some requests on a connection, until the server says that it takes no more.
  private func ask(_ client: Int) async throws {
    let (reader, writer) = try await connect()
    for number in 0..<(client % 2 == 0 ? 1 : 20) {
      requestCount += 1
      try await writer.send("request \(client) \(number)\n")
      let answer = String(decoding: try await reader.readLine(), as: UTF8.self)
      let words = answer.split(whereSeparator: \.isWhitespace)
      guard words.dropFirst().prefix(3).elementsEqual(["request", "\(client)", "\(number)"]),
        let process = Int32(words[0])
      else { throw Unanswered(answer: answer) }
      answers[process, default: 0] += 1
      if words.last == "last" { break }
    }
    writer.close()
    try await writer.waitClosed()
  }

  struct Unanswered: Error {
    var answer: String
  }

  /// Waits until each client is done with its connection; throws what one of them met.
  func finish() async throws {
    isEnding = true
    for task in tasks { try await task.value }
  }

  var answerCount: Int { answers.values.reduce(0, +) }
}
