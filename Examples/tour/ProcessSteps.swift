// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let processSteps = [
  Step("a program's output", programOutput),
  Step("a megabyte through a child", throughChild),
  Step("a child that does not end", stubbornChild),
  Step("a program that does not exist", missingProgram),
  Step("a terminal for a child", terminalForChild),
  Step("fifty children at once", manyChildren),
  Step("a listening socket for a child", passedSocket),
]

@Sendable func programOutput(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessShell("echo out; echo err >&2; exit 3", stdout: .pipe, stderr: .pipe)
  let (output, errors) = try await process.communicate()
  try expect("standard output", text(output), is: "out\n")
  try expect("standard error", text(errors), is: "err\n")
  try expect("return code", process.returnCode, is: 3)
  return "both outputs apart, and return code 3"
}

@Sendable func throughChild(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .pipe)
  let input = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7) }
  let (output, _) = try await process.communicate(input: input)
  try expect(output == input, "what came back from cat is not what was sent")
  return "written and read at the same time"
}

@Sendable func stubbornChild(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessShell("trap '' TERM; echo ready; exec sleep 1000", stdout: .pipe)
  _ = try await process.stdout?.readLine()
  try process.terminate()
  let wait = loop.createTask { try await process.wait() }
  try await loop.sleep(for: .milliseconds(20))
  try expect("return code after SIGTERM", process.returnCode, is: nil)
  try process.kill()
  try expect("return code", try await wait.value, is: -Signal.kill.rawValue)
  return "it ignored SIGTERM, and SIGKILL ended it"
}

@Sendable func missingProgram(_ loop: EventLoop) async throws -> String {
  do {
    _ = try await loop.createSubprocessExec("no-such-program")
  } catch let error as IOError {
    try expect("error", error.code, is: .noSuchFileOrDirectory)
    return "\(error)"
  }
  throw Failure("a program that does not exist was run")
}

@Sendable func terminalForChild(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessShell(
    "stty -echo; stty size; read name; echo hello $name", on: .pty(rows: 40, columns: 132))
  let size = text(try await process.stdout?.readLine())
  try expect("size", size, is: "40 132\r\n")
  process.stdin?.write("Ada\n")
  try expect("answer", text(try await process.stdout?.readLine()), is: "hello Ada\r\n")
  try await process.wait()
  return "40 lines of 132 characters, and somebody typing"
}

@Sendable func manyChildren(_ loop: EventLoop) async throws -> String {
  let tasks = (0..<50).map { index in
    loop.createTask {
      let process = try await loop.createSubprocessShell("exit \(index)")
      return try await process.wait()
    }
  }
  for (index, task) in tasks.enumerated() { try expect("return code", try await task.value, is: Int32(index)) }
  return "each return code at its place"
}

private func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }

@Sendable func passedSocket(_ loop: EventLoop) async throws -> String {
  let server = try await loop.startServer(host: "127.0.0.1", port: 0, echo)
  defer { server.close() }
  let options = SubprocessOptions(sockets: server.passedSockets(named: "echo"))
  let process = try await loop.createSubprocessShell(
    "[ $LISTEN_PID = $$ ] && [ -S /proc/$$/fd/3 ] && echo $LISTEN_FDS socket, named $LISTEN_FDNAMES", stdout: .pipe,
    options: options)
  let (output, _) = try await process.communicate()
  try expect("what the child has", text(output), is: "1 socket, named echo\n")
  return "found as systemd's protocol has it"
}
