// SPDX-License-Identifier: Apache-2.0
// What a program can do, tried one by one where the system gives less than it could.
import AsyncIO
import Foundation
import Glibc

/// Tries each, and tells how it went: "fine", the error, or that it did not end.
func facilities() throws {
  try EventLoop.run { loop in
    print("run: fine")
    for (name, body) in facilityTable(loop) {
      let task = loop.createTask { () -> String in
        do {
          let answer = try await body()
          return answer == "fine" ? answer : "wrong: \(answer)"
        } catch is CancellationError {
          return "has not ended"
        } catch {
          return "\(error)"
        }
      }
      let limit = loop.callLater(.seconds(name == "connection" ? 1 : 30)) { task.cancel() }
      print("\(name): \(try await task.value)")
      limit.cancel()
    }
  }
}

/// The same with so few descriptors, the three standard ones among them.
func fewDescriptors(_ count: String) {
  var limit = rlimit()
  limit.rlim_cur = rlim_t(count)!
  limit.rlim_max = limit.rlim_cur
  guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return print("no limit") }
  do { try facilities() } catch { print("run: \(error)") }
}

private func facilityTable(_ loop: EventLoop) -> [(String, () async throws -> String)] {
  [
    (
      "sleep",
      {
        try await loop.sleep(for: .milliseconds(1)); return "fine"
      }
    ),
    ("main actor", { await MainActor.run { "fine" } }),
    ("thread", { try await loop.runInExecutor { "fine" } }),
    ("signal", { try await signalComes(loop) }),
    ("process", { try await processRuns(loop) }),
    ("killed process", { try await processIsKilled(loop) }),
    ("terminal", { try await terminalWorks(loop) }),
    ("pipe", { try await pipeCarries(loop) }),
    ("connection", { try await connectionEchoes(loop) }),
    ("datagrams", { try await datagramsArrive(loop) }),
  ]
}

private func signalComes(_ loop: EventLoop) async throws -> String {
  let came = Future<String>(loop)
  try loop.addSignalHandler(.user1) { try came.setResult("fine") }
  defer { _ = try? loop.removeSignalHandler(.user1) }
  kill(getpid(), SIGUSR1)
  return try await came.value
}

private func processRuns(_ loop: EventLoop) async throws -> String {
  // A descriptor that is not close-on-exec must not be seen by the child.
  let leaked = fcntl(2, F_DUPFD, 10)
  defer { close(leaked) }
  let process = try await loop.createSubprocessShell(
    "cat; [ -e /proc/self/fd/\(leaked) ] && echo leaked; exit 5", stdin: .pipe, stdout: .pipe, stderr: .null)
  let (output, _) = try await process.communicate(input: "fine")
  return process.returnCode == 5 ? String(decoding: output ?? [], as: UTF8.self) : "\(process.returnCode ?? 0)"
}

private func processIsKilled(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessExec("sleep", ["1000"], stdin: .null)
  try process.kill()
  let code = try await process.wait()
  return code == -9 ? "fine" : "\(code)"
}

private func terminalWorks(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessShell("tty >/dev/null && printf fine", on: .pty())
  return String(decoding: try await process.communicate().stdout ?? [], as: UTF8.self)
}

private func pipeCarries(_ loop: EventLoop) async throws -> String {
  let (reading, writing) = try FileDescriptor.pipe()
  let reader: StreamReader
  let writer: StreamWriter
  do {
    reader = try await loop.openReadPipe(reading)
    writer = try await loop.openWritePipe(writing)
  } catch {
    try? reading.close()
    try? writing.close()
    throw error
  }
  try await writer.send("fine")
  writer.close()
  return String(decoding: try await reader.read(), as: UTF8.self)
}

private func connectionEchoes(_ loop: EventLoop) async throws -> String {
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
    writer.write(try await reader.read())
    writer.close()
  }
  defer { server.close() }
  let (reader, writer) = try await loop.openConnection(
    host: "127.0.0.1", port: Int(server.sockets[0].localAddress?.port ?? 0))
  defer { writer.close() }
  writer.write("fine")
  writer.writeEOF()
  return String(decoding: try await reader.read(), as: UTF8.self)
}

/// More of them than the socket holds, so that they are sent and received in batches.
private func datagramsArrive(_ loop: EventLoop) async throws -> String {
  final class Receiver: DatagramProtocol {
    let isComplete: Future<String>
    var received: [UInt8] = []
    init(_ loop: EventLoop) { isComplete = Future(loop) }
    func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) throws {
      received.append(data[0])
      if received.count == 100 { try isComplete.setResult(received == Array(0..<100) ? "fine" : "\(received)") }
    }
    func errorReceived(_ error: any Error) throws { try isComplete.setError(error) }
  }
  let (near, far) = try Socket.pair(.datagram)
  let (sender, _) = try await loop.createDatagramEndpoint({ Receiver(loop) }, socket: near)
  let (transport, receiver) = try await loop.createDatagramEndpoint({ Receiver(loop) }, socket: far)
  defer {
    sender.close()
    transport.close()
  }
  for number in 0..<UInt8(100) { sender.sendTo([number]) }
  return try await receiver.isComplete.value
}
