// SPDX-License-Identifier: Apache-2.0

extension StreamWriter {
  /// Encrypts the connection from here on, on both of reader and writer, as the end that begins the handshake. asyncio's
  /// `start_tls`.
  ///
  /// What was written before goes out as it is. What has arrived and was not read yet belongs to the handshake, and is
  /// read no more. On a connection that is encrypted already, this makes one TLS connection inside the other.
  ///
  /// - Parameter tls: encrypts the connection. It needs a ``ClientTLS/serverHostname``.
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a writer that is a pipe's; and as
  ///   ``EventLoop/startTLS(_:_:_:received:)-(_,_,ClientTLS,_)``.
  public func startTLS(_ tls: ClientTLS) async throws { try await startTLS(try TLSOptions("startTLS", tls)) }

  /// Encrypts the connection from here on, on both of reader and writer, as the end that waits for the other one to begin
  /// the handshake. asyncio's `start_tls` on a server's connection.
  ///
  /// Apart from that it is ``startTLS(_:)-(ClientTLS)``, and throws the same, but for names.
  public func startTLS(_ tls: ServerTLS) async throws { try await startTLS(try TLSOptions("startTLS", tls)) }

  private func startTLS(_ options: @autoclosure () throws -> TLSOptions) async throws {
    guard let transport = transport as? StreamTransport else {
      throw EventLoopError(.invalidArgument, "startTLS: only a connection can be encrypted")
    }
    guard let connection = transport.getProtocol() as? StreamConnection else {
      throw EventLoopError(.transportState, "startTLS: the connection is closed, or has another protocol by now")
    }
    try await transport.loop.startTLS(
      transport, connection, try options(), takingReceived: connection.reader.takeUnread)
  }
}
