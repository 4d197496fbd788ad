// SPDX-License-Identifier: Apache-2.0
// The worker of the tests' pools, and a program with a pool of its own. The first argument says what it does.
import AsyncIO
import AsyncIOProcessPool
import Glibc
import PoolJobs

/// Prints at once, also into a pipe.
nonisolated func say(_ line: String) {
  let bytes = Array((line + "\n").utf8)
  _ = write(1, bytes, bytes.count)
}

let arguments = CommandLine.arguments

/// Programs that are no workers, by the name that they were started under.
nonisolated func write(_ bytes: [UInt8]) -> Never {
  _ = write(3, bytes, bytes.count)
  while true { pause() }
}

nonisolated func hello(version: Int, job: UInt8 = 0) -> [UInt8] {
  let text = Array("[{\"version\":\(version),\"jobs\":[]}]".utf8)
  return [UInt8(text.count), 0, 0, 0, 0, job] + Array(repeating: 0, count: 7) + text
}

switch arguments[0].split(separator: "/").last {
case "silent": write([])
case "garbling": write(Array("hello\n".utf8))
case "outdated": write(hello(version: 99))
// Says the right thing, and does nothing else.
case "stubborn": write(hello(version: 2))
// Says hello as for a job.
case "confused": write(hello(version: 2, job: 1))
default: break
}

if arguments.dropFirst().first != "forgetful" {
  ProcessPoolExecutor.serveIfWorker(
    Square.self, Echo.self, Nothing.self, Fails.self, BadOutput.self, Dies.self, WaitsForFile.self, Surroundings.self,
    Garbles.self, Forges.self, LeavesChild.self)
}

switch arguments.dropFirst().first {
case "forgetful":
  try EventLoop.run { loop in
    do {
      _ = try ProcessPoolExecutor(loop)
      say("made")
    } catch {
      say("\(error)")
    }
  }
case "square":
  // By this program as its own worker.
  try EventLoop.run { loop in
    let pool = try ProcessPoolExecutor(loop, maxWorkers: 2)
    say("\(try await loop.runInExecutor(pool, Square(12)))")
    try await pool.shutdown()
  }
case "busy":
  // Tells its workers' ids, and never ends.
  try EventLoop.run { loop in
    let pool = try ProcessPoolExecutor(loop, maxWorkers: 2)
    _ = try await pool.run(Square(1))
    loop.createTask { try await pool.run(WaitsForFile(begun: arguments[2], path: "/nonexistent/file")) }
    while access(arguments[2], F_OK) != 0 { try await loop.sleep(for: .milliseconds(1)) }
    _ = try await pool.run(Square(2))
    say(pool.workerProcesses.map(String.init).joined(separator: " "))
    try await loop.sleep(for: .seconds(1000))
  }
default:
  say("unknown: \(arguments)")
  exit(2)
}
