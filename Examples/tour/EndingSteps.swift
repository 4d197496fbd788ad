// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Glibc

let endingSteps = [
  Step("a refused connection", refusedConnection),
  Step("serving, until it is cancelled", cancelledServer),
  Step("a server with a grace period", gracefulShutdown),
  Step("a server that ends with its scope", serverInScope),
  Step("a program that SIGTERM ends", terminatedProgram),
]

@Sendable func refusedConnection(_ loop: EventLoop) async throws -> String {
  // Bound, so that nobody else has the port, but not listening.
  let socket = try Socket(.ipv4)
  guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else { throw Failure("127.0.0.1 is not an address") }
  try socket.bind(to: any)
  guard let port = socket.localAddress?.port else { throw Failure("the socket has no port") }
  do {
    _ = try await loop.openConnection(host: "127.0.0.1", port: Int(port))
    throw Failure("a port where nobody listens took the connection")
  } catch let error as IOError {
    try expect("the error", error.description, is: "connect 127.0.0.1:\(port): Connection refused (ECONNREFUSED)")
    return error.description
  }
}

@Sendable func cancelledServer(_ loop: EventLoop) async throws -> String {
  let server = try await loop.startServer(host: "127.0.0.1", port: 0, startServing: false, echo)
  let port = server.port
  let serving = loop.createTask { try await server.serveForever() }
  while !server.isServing { try await loop.sleep(for: .zero) }
  var clients: [(reader: StreamReader, writer: StreamWriter)] = []
  for _ in 0..<10 { clients.append(try await loop.openConnection(host: "127.0.0.1", port: port)) }
  while server.connectionCount < clients.count { try await loop.sleep(for: .milliseconds(1)) }
  serving.cancel()
  do {
    try await serving.value
    throw Failure("serveForever returned")
  } catch is CancellationError {
    try expect("connections after the end", server.connectionCount, is: 0)
    try expect("listening sockets after the end", server.sockets.count, is: 0)
  }
  for client in clients { try expect("what a client still reads", try await client.reader.read(), is: []) }
  return "serveForever cancelled: no socket, no connection, \(clients.count) clients told"
}

@Sendable func gracefulShutdown(_ loop: EventLoop) async throws -> String {
  var atWork = 0
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
    let milliseconds = Int(text(try await reader.readLine())) ?? 0
    atWork += 1
    try await loop.sleep(for: .milliseconds(milliseconds))
    try await writer.send("done\n")
  }
  var clients: [(reader: StreamReader, writer: StreamWriter)] = []
  for milliseconds in [5, 3_600_000] {
    let client = try await loop.openConnection(host: "127.0.0.1", port: server.port)
    try await client.writer.send("\(milliseconds)\n")
    clients.append(client)
  }
  while atWork < clients.count { try await loop.sleep(for: .zero) }
  let ending = loop.createTask(eager: true) { try await server.shutdown(gracePeriod: .milliseconds(200)) }
  do {
    _ = try await loop.openConnection(host: "127.0.0.1", port: server.port)
    throw Failure("a server that ends took a connection")
  } catch is IOError {}
  try await ending.value
  try expect("connections after the end", server.connectionCount, is: 0)
  try expect("the quick answer", text(try await clients[0].reader.read()), is: "done")
  // Cut off: the end, or a reset.
  let slow = try? await clients[1].reader.read()
  try expect("the slow answer", text(slow ?? []), is: "")
  return "what was quick was answered, what was slow was cut off"
}

@Sendable func serverInScope(_ loop: EventLoop) async throws -> String {
  var atWork = 0
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
    atWork += 1
    defer { atWork -= 1 }
    try await echo(reader, writer)
  }
  let scope = loop.createTask(eager: true) {
    try await loop.withServer(server, gracePeriod: .seconds(5)) { server in try await server.waitClosed() }
  }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
  while atWork == 0 { try await loop.sleep(for: .milliseconds(1)) }
  scope.cancel()
  // The server takes no more, and this connection goes on.
  try await writer.send("last words")
  writer.writeEOF()
  try expect("what came back", text(try await reader.read()), is: "last words")
  do {
    try await scope.value
    throw Failure("a scope that was cancelled ended without an error")
  } catch is CancellationError {
    try expect("connections after the scope", server.connectionCount, is: 0)
    return "cancelled, and the last connection had its time"
  }
}

/// What the tour is when it runs itself as another program: one that waits until it is ended, and cleans up.
func waitToBeEnded() -> Never {
  EventLoop.main { loop in
    defer { print("cleaned up") }
    print("waiting")
    fflush(nil)
    try await loop.sleep(for: .seconds(3600))
  }
}

@Sendable func terminatedProgram(_ loop: EventLoop) async throws -> String {
  let process = try await loop.createSubprocessExec(
    "/proc/self/exe", [Tour.waitingProgram], stdout: .pipe, stderr: .pipe)
  try expect("its first line", text(try await process.stdout?.readLine()), is: "waiting")
  try process.terminate()
  let (output, errors) = try await process.communicate()
  try expect("its last line", text(output), is: "cleaned up")
  try expect("its errors", text(errors), is: "")
  try expect("its return code", process.returnCode, is: -Signal.terminate.rawValue)
  return "cancelled, cleaned up, and ended by \(Signal.terminate) itself"
}

/// Without the end of the line.
private func text(_ bytes: [UInt8]?) -> String {
  var bytes = bytes ?? []
  if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
  return String(decoding: bytes, as: UTF8.self)
}
