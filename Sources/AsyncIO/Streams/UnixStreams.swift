// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Connects to a unix socket. asyncio's `open_unix_connection`.
  ///
  /// - Throws: as ``createUnixConnection(_:path:tls:serverHostname:handshakeTimeout:shutdownTimeout:)``.
  public func openUnixConnection(
    path: String, limit: Int = StreamReader.defaultLimit, tls: (any TLSProvider)? = nil,
    serverHostname: String? = nil, handshakeTimeout: Duration? = nil, shutdownTimeout: Duration? = nil
  ) async throws -> (reader: StreamReader, writer: StreamWriter) {
    let (transport, connection) = try await createUnixConnection(
      { try StreamConnection(self, limit: limit) }, path: path, tls: tls, serverHostname: serverHostname,
      handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout)
    return (connection.reader, StreamWriter(transport, connection.flow))
  }

  /// Listens on a unix socket, and runs the handler as a task for each connection. asyncio's `start_unix_server`.
  ///
  /// - Throws: as ``createUnixServer(_:path:backlog:cleanupSocket:startServing:tls:handshakeTimeout:shutdownTimeout:)``.
  public func startUnixServer(
    path: String, limit: Int = StreamReader.defaultLimit, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true, tls: (any TLSProvider)? = nil, handshakeTimeout: Duration? = nil,
    shutdownTimeout: Duration? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createUnixServer(
      streamFactory(limit, handler), path: path, backlog: backlog, cleanupSocket: cleanupSocket,
      startServing: startServing, tls: tls, handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout)
  }
}
