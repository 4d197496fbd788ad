// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Encrypts a connection that is open, as the end that begins the handshake. asyncio's `start_tls`.
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
  ///   - tls: encrypts the connection. It needs a ``ClientTLS/serverHostname``.
  ///   - received: bytes of the handshake that the protocol was given already.
  /// - Returns: the transport.
  /// - Throws: ``EventLoopError`` `.transportState` for a transport that is closing, or busy with a file or another
  ///   handshake, `.invalidArgument` without a name, with an empty one, or for a time limit that is not above zero;
  ///   ``TLSError`` or ``IOError`` when the handshake fails, or `CancellationError`, and then the connection is lost.
  @discardableResult
  public func startTLS(
    _ transport: StreamTransport, _ protocol: any StreamProtocol, _ tls: ClientTLS, received: [UInt8] = []
  ) async throws -> StreamTransport {
    try await startTLS(transport, `protocol`, try TLSOptions("startTLS", tls), takingReceived: { received })
    return transport
  }

  /// Encrypts a connection that is open, as the end that waits for the other one to begin the handshake. asyncio's
  /// `start_tls` with `server_side`.
  ///
  /// Apart from that it is ``startTLS(_:_:_:received:)-(_,_,ClientTLS,_)``, and throws the same, but for names.
  @discardableResult
  public func startTLS(
    _ transport: StreamTransport, _ protocol: any StreamProtocol, _ tls: ServerTLS, received: [UInt8] = []
  ) async throws -> StreamTransport {
    try await startTLS(transport, `protocol`, try TLSOptions("startTLS", tls), takingReceived: { received })
    return transport
  }

  /// The same for both ends, with bytes that are taken from where they are once nothing stands in the way of a handshake.
  func startTLS(
    _ transport: StreamTransport, _ protocol: any StreamProtocol,
    _ checkedOptions: @autoclosure () throws -> TLSOptions,
    takingReceived: () -> [UInt8]
  ) async throws {
    try checkOpen("startTLS")
    let options = try checkedOptions()
    guard transport.loop === self else {
      throw EventLoopError(.foreignLoop, "startTLS: the transport belongs to another event loop")
    }
    guard transport.state.mayBeSecured, !transport.isSendingFile else {
      throw EventLoopError(
        .transportState, "startTLS: the transport is closing, or busy with a file or another handshake")
    }
    try Task.checkCancellation()
    let stage = try options.makeStage(on: transport.socket, self)
    let received = takingReceived()
    transport.setProtocol(`protocol`)
    transport.beginHandshake(stage, received: received)
    try await transport.waitForHandshake("startTLS")
  }
}

extension TLSOptions {
  func makeStage(on socket: Socket, _ loop: EventLoop) throws(TLSError) -> TLSStage {
    TLSStage(try provider.makeEngine(for: role), self, over: SocketWire(loop.kernel, socket.descriptor))
  }
}
