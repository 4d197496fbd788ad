// SPDX-License-Identifier: Apache-2.0
// Runs the commands that stand on standard input, a line each, several at a time. What is read waits in a queue that has room
// for few, so that a long list is not read faster than it is worked off.
// Try: printf 'sleep 1\necho done\n' | worker-pool 4
import AsyncIO
import Glibc

let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 4

/// Takes commands until there are no more.
func work(_ loop: EventLoop, _ commands: Queue<String>) async throws {
  for try await command in commands {
    let process = try await loop.createSubprocessShell(command, stdout: .pipe)
    let (output, _) = try await process.communicate()
    let code = process.returnCode ?? 0
    print("\(command): \(code == 0 ? "" : "status \(code) ")\(String(decoding: output ?? [], as: UTF8.self))")
    fflush(nil)
    commands.taskDone()
  }
}

EventLoop.main { loop in
  let commands = Queue<String>(loop, maxCount: count)
  let input = try await loop.openReadPipe(.standardInput)
  try await loop.withLoopTaskGroup { group in
    for number in 1...max(1, count) { group.createTask(name: "worker \(number)") { try await work(loop, commands) } }
    for try await line in input.lines where !line.isEmpty { try await commands.put(line) }
    try await commands.join()
    commands.shutdown()
  }
}
