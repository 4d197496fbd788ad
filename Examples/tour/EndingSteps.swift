// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let endingSteps = [
  Step("a refused connection", refusedConnection),
  Step("an ordered shutdown", orderedShutdown),
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

@Sendable func orderedShutdown(_ loop: EventLoop) async throws -> String {
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
