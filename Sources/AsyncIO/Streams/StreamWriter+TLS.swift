// SPDX-License-Identifier: Apache-2.0

extension StreamWriter {
  /// Encrypts the connection from here on, on both of reader and writer. asyncio's `start_tls`.
  ///
  /// What was written before goes out as it is. What has arrived and was not read yet belongs to the handshake, and is
  /// read no more. A server's connection waits for the other end to begin. On a connection that is encrypted already,
  /// this makes one TLS connection inside the other.
  ///
  /// - Parameters:
  ///   - tls: encrypts the connection.
  ///   - serverHostname: on a client's connection, what the peer's certificate has to be valid for.
  ///   - handshakeTimeout: how long the handshake may take; nil means 60 seconds.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well; nil means 30 seconds.
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a writer that is a pipe's; and as
  ///   ``EventLoop/startTLS(_:_:_:serverSide:serverHostname:handshakeTimeout:shutdownTimeout:received:)``.
  public func startTLS(
    _ tls: any TLSProvider, serverHostname: String? = nil, handshakeTimeout: Duration? = nil,
    shutdownTimeout: Duration? = nil
  ) async throws {
    guard let transport = transport as? StreamTransport else {
      throw EventLoopError(.invalidArgument, "startTLS: only a connection can be encrypted")
    }
    guard let connection = transport.getProtocol() as? StreamConnection else {
      throw EventLoopError(.transportState, "startTLS: the connection is closed, or has another protocol by now")
    }
    try await transport.loop.startTLS(
      transport, connection, tls, serverSide: connection.isServerSide, serverHostname: serverHostname,
      handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout,
      takingReceived: connection.reader.takeUnread)
  }
}
