// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Encrypts a connection that is open. asyncio's `start_tls`.
  ///
  /// The transport stays the same, and so does what it knows of pauses and water marks. The protocol takes the old one's
  /// place, without a `connectionMade`; it is called once the handshake is done. What was written before goes out as it
  /// is, what is written during the handshake goes out encrypted. On a connection that is encrypted already, this makes
  /// one TLS connection inside the other.
  ///
  /// A protocol that was asked for TLS pauses reading before it comes here: what arrives afterwards is the handshake's.
  ///
  /// - Parameters:
  ///   - transport: a connection that is open.
  ///   - protocol: who is called from now on.
  ///   - tls: encrypts the connection.
  ///   - serverSide: whether this is the end that accepts. The handshake is begun by the other one.
  ///   - serverHostname: for the end that connects, what the peer's certificate has to be valid for.
  ///   - handshakeTimeout: how long the handshake may take; nil means 60 seconds.
  ///   - shutdownTimeout: how long the peer may take, once we close, to read or to close as well; nil means 30 seconds.
  ///   - received: bytes of the handshake that the protocol was given already.
  /// - Returns: the transport.
  /// - Throws: ``EventLoopError`` `.transportState` for a transport that is closing, or busy with a file or another
  ///   handshake, `.invalidArgument` for a client without `serverHostname` or with an empty one, or a server with
  ///   one; ``TLSError`` or
  ///   ``IOError`` when the handshake fails, or `CancellationError`, and then the connection is lost.
  @discardableResult
  public func startTLS(
    _ transport: StreamTransport, _ protocol: any StreamProtocol, _ tls: any TLSProvider, serverSide: Bool = false,
    serverHostname: String? = nil, handshakeTimeout: Duration? = nil, shutdownTimeout: Duration? = nil,
    received: [UInt8] = []
  ) async throws -> StreamTransport {
    try await startTLS(
      transport, `protocol`, tls, serverSide: serverSide, serverHostname: serverHostname,
      handshakeTimeout: handshakeTimeout, shutdownTimeout: shutdownTimeout, takingReceived: { received })
    return transport
  }

  /// The same, with bytes that are taken from where they are once nothing stands in the way of a handshake.
  func startTLS(
    _ transport: StreamTransport, _ protocol: any StreamProtocol, _ tls: any TLSProvider, serverSide: Bool,
    serverHostname: String?, handshakeTimeout: Duration?, shutdownTimeout: Duration?,
    takingReceived: () -> [UInt8]
  ) async throws {
    try checkOpen("startTLS")
    let options: TLSOptions?
    if serverSide {
      guard serverHostname == nil else {
        throw EventLoopError(.invalidArgument, "startTLS: serverHostname is for the end that connects")
      }
      options = try TLSOptions.server("startTLS", tls, handshakeTimeout, shutdownTimeout)
    } else {
      options = try TLSOptions.client(
        "startTLS", tls, name: serverHostname, host: nil, handshakeTimeout, shutdownTimeout)
    }
    guard transport.loop === self else {
      throw EventLoopError(.foreignLoop, "startTLS: the transport belongs to another event loop")
    }
    guard transport.state.mayBeSecured, !transport.isSendingFile else {
      throw EventLoopError(
        .transportState, "startTLS: the transport is closing, or busy with a file or another handshake")
    }
    try Task.checkCancellation()
    guard let stage = try options?.makeStage(on: transport.socket, self) else { return }
    let received = takingReceived()
    transport.setProtocol(`protocol`)
    transport.beginHandshake(stage, received: received)
    try await transport.waitForHandshake("startTLS")
  }
}
