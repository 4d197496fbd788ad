// SPDX-License-Identifier: Apache-2.0
// A pipeline as the shell has it: the words of its input that occur most often.
// Try: shell-pipeline < README.md
import AsyncIO

let commands: [[String]] = [
  ["tr", "-cs", "[:alpha:]", "\\n"],
  ["tr", "[:upper:]", "[:lower:]"],
  ["sort"],
  ["uniq", "-c"],
  ["sort", "-k1,1nr", "-k2"],
  ["head", "-n", CommandLine.arguments.dropFirst().first ?? "10"],
]

EventLoop.main { loop in
  var processes: [ChildProcess] = []
  var input = ChildStream.inherit
  for (index, command) in commands.enumerated() {
    let isLast = index == commands.count - 1
    // The next one reads what this one writes. Both ends go to children; our copies are closed at once, so that each
    // end of file comes.
    let pipe = isLast ? nil : try FileDescriptor.pipe()
    processes.append(
      try await loop.createSubprocessExec(
        command[0], Array(command.dropFirst()), stdin: input, stdout: pipe.map { .descriptor($0.writeEnd) } ?? .pipe))
    if case .descriptor(let used) = input { try used.close() }
    try pipe?.writeEnd.close()
    if let pipe { input = .descriptor(pipe.readEnd) }
  }

  if let result = processes.last?.stdout {
    for try await line in result.lines { print(line) }
  }
  for (process, command) in zip(processes, commands) {
    let code = try await process.wait()
    // The end of `head` breaks the pipe of those before it, which is as it should be.
    if code != 0, code != -Signal.brokenPipe.rawValue { print("\(command[0]) ended with \(code)") }
  }
}
