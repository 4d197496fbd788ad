// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import AsyncIO
import Glibc
import Measuring

/// What it costs to run /bin/true and to wait for its end, one after the other.
@main
struct Spawn: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spawn-bench", abstract: "Runs /bin/true again and again; prints microseconds for one.")

  @Option(help: "Processes in a round.") var count = 200
  @Option(help: "Rounds; the figures are medians.") var rounds = 5
  @Option(help: "MiB of memory that this process has touched.") var resident = 0

  func run() throws {
    let memory = touchedMemory(mebibytes: resident)
    defer { free(memory) }
    var figures = Figures()
    for _ in 0..<rounds {
      let begin = Spent.now
      try runRound()
      let spent = begin.perOperation(count)
      figures.add("spawn_wall_us", spent.wall / 1000)
      figures.add("spawn_cpu_us", spent.cpu / 1000)
    }
    print("resident_mib=\(resident) \(figures.line)")
  }

  private func runRound() throws {
    let count = count
    try EventLoop.run { loop in
      for _ in 0..<count {
        let process = try await loop.createSubprocessExec("/bin/true")
        let code = try await process.wait()
        if code != 0 { throw ExitCode.failure }
      }
    }
  }

  private func touchedMemory(mebibytes: Int) -> UnsafeMutableRawPointer? {
    guard mebibytes > 0, let memory = malloc(mebibytes << 20) else { return nil }
    return memset(memory, 1, mebibytes << 20)
  }
}
