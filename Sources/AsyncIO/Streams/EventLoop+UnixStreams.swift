// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Connects to a unix socket. asyncio's `open_unix_connection`.
  ///
  /// - Throws: as ``createUnixConnection(_:path:tls:)``; ``EventLoopError`` `.invalidArgument` for a limit of zero or less.
  public func openUnixConnection(
    path: any SystemText, limit: Int = StreamReader.defaultLimit, tls: ClientTLS? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) async throws -> (reader: StreamReader, writer: StreamWriter) {
    // Before the connection, so that a limit of no use costs none.
    let connection = try StreamConnection(self, limit: limit)
    let (transport, _) = try await createUnixConnection({ connection }, path: path, tls: tls)
    return (connection.reader, StreamWriter(transport, connection, madeAt: CallSite(file, line)))
  }

  /// Makes reader and writer for a unix socket that is connected already. asyncio's `open_unix_connection` with `sock`.
  ///
  /// - Throws: as ``createUnixConnection(_:socket:tls:)``; ``EventLoopError`` `.invalidArgument` for a limit of zero or less.
  public func openUnixConnection(
    socket: Socket, limit: Int = StreamReader.defaultLimit, tls: ClientTLS? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) async throws -> (reader: StreamReader, writer: StreamWriter) {
    let connection = try StreamConnection(self, limit: limit)
    let (transport, _) = try await createUnixConnection({ connection }, socket: socket, tls: tls)
    return (connection.reader, StreamWriter(transport, connection, madeAt: CallSite(file, line)))
  }

  /// Listens on a unix socket, and runs the handler as a task for each connection. asyncio's `start_unix_server`.
  ///
  /// - Throws: as ``createUnixServer(_:path:backlog:cleanupSocket:startServing:tls:)``.
  public func startUnixServer(
    path: any SystemText, limit: Int = StreamReader.defaultLimit, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true, tls: ServerTLS? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createUnixServer(
      streamFactory(limit, handler), path: path, backlog: backlog, cleanupSocket: cleanupSocket,
      startServing: startServing, tls: tls)
  }

  /// Listens on a unix socket that is bound already, and runs the handler as a task for each connection. asyncio's
  /// `start_unix_server` with `sock`.
  ///
  /// - Throws: as ``createUnixServer(_:socket:backlog:cleanupSocket:startServing:tls:)``.
  public func startUnixServer(
    socket: Socket, limit: Int = StreamReader.defaultLimit, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true, tls: ServerTLS? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createUnixServer(
      streamFactory(limit, handler), socket: socket, backlog: backlog, cleanupSocket: cleanupSocket,
      startServing: startServing, tls: tls)
  }
}
