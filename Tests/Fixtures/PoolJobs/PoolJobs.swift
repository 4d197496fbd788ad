// SPDX-License-Identifier: Apache-2.0
// Jobs that the tests, and the program that is their worker, both know.
import AsyncIOProcessPool
import Glibc

public struct Square: ProcessJob {
  public var number: Int
  public init(_ number: Int) { self.number = number }
  public func run() -> Int { number * number }
}

/// Gives back what it was given: values of all kinds.
public struct Echo: ProcessJob {
  public struct Value: Codable, Sendable, Equatable {
    public var text: String
    public var numbers: [Double]
    public var large: UInt64
    public var nothing: Int?
    public var bytes: [UInt8]
    public init(text: String, numbers: [Double], large: UInt64, nothing: Int?, bytes: [UInt8]) {
      self.text = text
      self.numbers = numbers
      self.large = large
      self.nothing = nothing
      self.bytes = bytes
    }
  }
  public var value: Value
  public init(_ value: Value) { self.value = value }
  public func run() -> Value { value }
}

public struct Nothing: ProcessJob {
  public init() {}
  public func run() -> Int? { nil }
}

public struct PoolJobError: Error, CustomStringConvertible {
  public var description: String { "it did not work" }
}

public struct Fails: ProcessJob {
  public init() {}
  public func run() throws -> Int { throw PoolJobError() }
}

/// Its output cannot be encoded, or not be decoded.
public struct BadOutput: ProcessJob {
  public struct Output: Codable, Sendable {
    var failsInWorker: Bool
    init(failsInWorker: Bool) { self.failsInWorker = failsInWorker }
    public func encode(to encoder: any Encoder) throws {
      if failsInWorker { throw PoolJobError() }
      var container = encoder.singleValueContainer()
      try container.encode("no boolean")
    }
    public init(from decoder: any Decoder) throws {
      failsInWorker = try decoder.singleValueContainer().decode(Bool.self)
    }
  }
  public var failsInWorker: Bool
  public init(failsInWorker: Bool) { self.failsInWorker = failsInWorker }
  public func run() -> Output { Output(failsInWorker: failsInWorker) }
}

/// Ends its process.
public struct Dies: ProcessJob {
  public var signal: Int32?
  public init(signal: Int32?) { self.signal = signal }
  public func run() -> Int {
    if let signal { _ = kill(getpid(), signal) } else { exit(3) }
    while true { pause() }
  }
}

/// Tells its process's id, and then whatever it is made to wait for: a file that appears, for ever when that never does.
public struct WaitsForFile: ProcessJob {
  public var begun: String
  public var path: String
  public init(begun: String, path: String) {
    self.begun = begun
    self.path = path
  }
  public func run() -> Int32 {
    close(creat(begun, 0o600))
    while access(path, F_OK) != 0 { usleep(1000) }
    return getpid()
  }
}

/// What the worker's process is like.
public struct Surroundings: ProcessJob {
  public struct Output: Codable, Sendable {
    public var pid: Int32
    public var parent: Int32
    public var descriptors: [Int32]
    public var closesOnExec: Bool
    public var standardInput: String
    public var ignoresInterrupt: Bool
    public var isMainThread: Bool
  }
  public init() {}
  public func run() -> Output {
    var link = [UInt8](repeating: 0, count: 256)
    let length = link.withUnsafeMutableBytes { readlink("/proc/self/fd/0", $0.baseAddress!, $0.count) }
    var action = sigaction()
    sigaction(SIGINT, nil, &action)
    return Output(
      pid: getpid(), parent: getppid(), descriptors: (0..<256).filter { fcntl($0, F_GETFD) != -1 },
      closesOnExec: fcntl(3, F_GETFD) == FD_CLOEXEC,
      standardInput: String(decoding: link.prefix(max(0, length)), as: UTF8.self),
      ignoresInterrupt: unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1,
      isMainThread: Int(getpid()) == syscallThreadID())
  }
}

private func syscallThreadID() -> Int { Int(pthreadThreadID()) }

private func pthreadThreadID() -> pid_t {
  var link = [UInt8](repeating: 0, count: 64)
  let length = link.withUnsafeMutableBytes { readlink("/proc/thread-self", $0.baseAddress!, $0.count) }
  let text = String(decoding: link.prefix(max(0, length)), as: UTF8.self)
  return text.split(separator: "/").last.flatMap { pid_t($0) } ?? -1
}

/// Writes to the pool's own connection.
public struct Garbles: ProcessJob {
  public init() {}
  public func run() -> Int {
    let bytes: [UInt8] = [255, 255, 255, 255, 255, 255]
    _ = write(3, bytes, bytes.count)
    return 0
  }
}

/// Writes an answer to the pool by itself, as of a job of some number, and goes on until a file appears.
public struct Forges: ProcessJob {
  public var number: UInt8
  public var output: Int
  public var path: String
  public init(number: UInt8, output: Int, until path: String) {
    self.number = number
    self.output = output
    self.path = path
  }
  public func run() -> Int {
    let text = Array("[\(output)]".utf8)
    let bytes = [UInt8(text.count), 0, 0, 0, 2, number] + Array(repeating: 0, count: 7) + text
    _ = write(3, bytes, bytes.count)
    while access(path, F_OK) != 0 { usleep(1000) }
    return 0
  }
}

/// Leaves a child behind that has the pool's own connection open, tells its id in a file, and ends its process.
public struct LeavesChild: ProcessJob {
  public var path: String
  public init(path: String) { self.path = path }
  public func run() -> Int {
    _ = fcntl(3, F_SETFD, 0)
    var child: pid_t = 0
    let arguments = [strdup("sleep"), strdup("1000"), nil]
    posix_spawnp(&child, "sleep", nil, nil, arguments, nil)
    let text = Array("\(child)".utf8)
    let file = creat(path, 0o600)
    _ = write(file, text, text.count)
    exit(3)
  }
}

/// Of a type whose name is as long as the test likes.
public struct LongName: ProcessJob {
  nonisolated(unsafe) public static var length = 0
  public static var jobName: String { String(repeating: "n", count: length) }
  public init() {}
  public func run() -> Int { 0 }
}

/// Of a type that the worker is not told of.
public struct Unregistered: ProcessJob {
  public init() {}
  public func run() -> Int { 0 }
}

public let registered: [any ProcessJob.Type] = [
  Square.self, Echo.self, Nothing.self, Fails.self, BadOutput.self, Dies.self, WaitsForFile.self, Surroundings.self,
  Garbles.self, Forges.self, LeavesChild.self,
]
