// SPDX-License-Identifier: Apache-2.0
// Keeps a program running: starts it again when it ends, later and later as long as it ends early. SIGINT and SIGTERM
// end both, the program first.
// Try: supervisor sh -c 'echo working; sleep 2; exit 1'
import AsyncIO
import Glibc

let command = Array(CommandLine.arguments.dropFirst())

struct Supervisor {
  let loop: EventLoop
  /// The pause after the first early end; each further one is twice as long.
  let firstPause = Duration.milliseconds(100)
  let longestPause = Duration.seconds(10)
  /// A program that lasts as long is well again.
  let healthyAfter = Duration.seconds(5)
  /// How long the program has to end by itself.
  let patience = Duration.seconds(90)

  /// Runs the program again and again, until the task is cancelled.
  func run(_ program: String, _ arguments: [String]) async throws {
    var pause = firstPause
    while true {
      let start = loop.time
      let process = try await loop.createSubprocessExec(program, arguments)
      say("started \(program) as process \(process.pid)")
      do {
        let code = try await process.wait()
        say("process \(process.pid) ended: \(describe(code))")
      } catch {
        try await stop(process)
        throw error
      }
      if start.duration(to: loop.time) >= healthyAfter { pause = firstPause }
      say("next start in \(pause)")
      try await loop.sleep(for: pause)
      pause = min(pause * 2, longestPause)
    }
  }

  /// Asks the process to end, and ends it when it does not listen.
  private func stop(_ process: ChildProcess) async throws {
    try? process.terminate()
    let killer = loop.callLater(patience) { try? process.kill() }
    defer { killer.cancel() }
    // This task is cancelled, and may not wait any more but in here.
    let code = try await loop.withCancellationShield { try await process.wait() }
    say("process \(process.pid) was stopped: \(describe(code))")
  }

  private func describe(_ code: Int32) -> String {
    code < 0 ? "\(Signal(rawValue: -code))" : "exit status \(code)"
  }
}

/// Prints at once, also into a pipe.
func say(_ text: String) {
  print(text)
  fflush(nil)
}

guard let program = command.first else {
  print("usage: supervisor PROGRAM [ARGUMENT...]")
  exit(2)
}
EventLoop.main { loop in
  try await Supervisor(loop: loop).run(program, Array(command.dropFirst()))
}
