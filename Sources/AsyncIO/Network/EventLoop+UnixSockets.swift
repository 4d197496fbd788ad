// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Connects to a unix socket, and ties a protocol of the factory's to the connection. asyncio's
  /// `create_unix_connection`.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - path: a socket file, or with a leading zero byte a name in Linux's abstract space: a `String`, a `FilePath`,
  ///     or bytes such as ``SocketAddress/unixName``.
  ///   - tls: encrypts the connection; nil leaves it plain. It needs a ``ClientTLS/serverHostname``. The handshake comes
  ///     before `connectionMade`.
  /// - Throws: ``IOError`` for `connect`, with the path; what the factory throws; `CancellationError`;
  ///   ``EventLoopError`` `.invalidArgument` for `tls` without a name or with a time limit that is not above zero;
  ///   ``TLSError`` and ``IOError`` when the handshake fails.
  public func createUnixConnection<P: StreamProtocol>(
    _ factory: () throws -> P, path: any SystemText, tls: ClientTLS? = nil
  ) async throws -> (transport: StreamTransport, protocol: P) {
    try checkOpen("createUnixConnection")
    let options = try tls.map { try TLSOptions("createUnixConnection", $0) }
    let address = try unixAddress(path, "connect")
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try await connect(socket, to: address)
    } catch {
      socket.close()
      throw error
    }
    return try await attachNew(factory, socket, remoteAddress: address, options, "createUnixConnection")
  }

  /// Ties a protocol of the factory's to a unix socket that is connected already. asyncio's `create_unix_connection` with
  /// `sock`.
  ///
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a socket of another family; and as
  ///   ``createConnection(_:socket:tls:)``.
  public func createUnixConnection<P: StreamProtocol>(
    _ factory: () throws -> P, socket: Socket, tls: ClientTLS? = nil
  ) async throws -> (transport: StreamTransport, protocol: P) {
    try checkOpen("createUnixConnection")
    let options = try tls.map { try TLSOptions("createUnixConnection", $0) }
    try socket.requireUnix("createUnixConnection")
    return try await adopt(factory, socket, options, "createUnixConnection")
  }

  /// Listens on a unix socket, and calls the factory for each connection. asyncio's `create_unix_server`.
  ///
  /// A socket file that nobody listens on any more is replaced. The file is removed when the server closes, or the loop
  /// with the server still open, if it is still the same.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol of each connection.
  ///   - path: a socket file, or with a leading zero byte a name in Linux's abstract space: a `String`, a `FilePath`,
  ///     or bytes such as ``SocketAddress/unixName``.
  ///   - backlog: how many connections the kernel keeps waiting, and how many one readiness accepts.
  ///   - cleanupSocket: whether to remove the file at close.
  ///   - startServing: false leaves that to ``Server/startServing()`` or ``Server/serveForever()``.
  ///   - tls: encrypts the connections; nil leaves them plain.
  /// - Throws: ``IOError`` for `bind`, with the path: `EADDRINUSE` when somebody listens there, or when a file is there
  ///   that is no socket.
  public func createUnixServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, path: any SystemText, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true, tls: ServerTLS? = nil
  ) async throws -> Server {
    try checkOpen("createUnixServer")
    let options = try tls.map { try TLSOptions("createUnixServer", $0) }
    try checkBacklog("createUnixServer", backlog)
    let address = try unixAddress(path, "bind")
    try SocketFile.removeStale(at: address, .stream, kernel: kernel)
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try socket.bind(to: address)
      let file = SocketFile(of: address, kernel: kernel)
      do {
        let server = try makeServer(factory, [socket], options, backlog: backlog, startServing: startServing)
        if cleanupSocket { own(file, server) }
        return server
      } catch {
        file?.remove()
        throw error
      }
    } catch {
      socket.close()
      throw error
    }
  }

  /// Listens on a unix socket that is bound already. asyncio's `create_unix_server` with `sock`.
  ///
  /// The socket is made non-blocking, keeps its descriptor, and belongs to the server from here on. Its file is removed
  /// when the server closes, or the loop with the server still open, if it is still the same.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol of each connection.
  ///   - socket: a stream socket that is bound to a file or a name.
  ///   - backlog: how many connections the kernel keeps waiting, and how many one readiness accepts.
  ///   - cleanupSocket: whether to remove the file at close. Pass false for a file that belongs to somebody else, such as
  ///     the service manager that made the socket.
  ///   - startServing: false leaves that to ``Server/startServing()`` or ``Server/serveForever()``.
  ///   - tls: encrypts the connections; nil leaves them plain.
  /// - Throws: ``EventLoopError`` `.invalidArgument` for a socket of another family; and as
  ///   ``createServer(_:socket:backlog:startServing:tls:)``.
  public func createUnixServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, socket: Socket, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true, tls: ServerTLS? = nil
  ) async throws -> Server {
    try checkOpen("createUnixServer")
    let options = try tls.map { try TLSOptions("createUnixServer", $0) }
    try socket.requireUnix("createUnixServer")
    let file = socket.localAddress.flatMap { SocketFile(of: $0, kernel: kernel) }
    let server = try makeServer(
      factory, socket, options, backlog: backlog, startServing: startServing, "createUnixServer")
    if cleanupSocket { own(file, server) }
    return server
  }

  /// Has the file removed with the server, or with the loop if that is first.
  func own(_ file: SocketFile?, _ server: Server) {
    if let file { server.files.append(OwnedSocketFile(file, self)) }
  }

  func unixAddress(_ path: any SystemText, _ operation: String) throws(IOError) -> SocketAddress {
    if let address = SocketAddress(unixPath: path) { return address }
    let bytes = path.systemBytes
    let isTooLong = !bytes.isEmpty && (bytes.first == 0 || !bytes.contains(0))
    throw IOError(isTooLong ? .fileNameTooLong : .invalidArgument, operation, "\"\(path.printable())\"")
  }
}

extension Socket {
  /// Rejects a socket of another family.
  fileprivate func requireUnix(_ operation: String) throws(EventLoopError) {
    guard let family, family != .unix else { return }
    throw EventLoopError(.invalidArgument, "\(operation): the socket is not a unix socket")
  }
}
