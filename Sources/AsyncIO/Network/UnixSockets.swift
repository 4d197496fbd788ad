// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Connects to a unix socket, and ties a protocol of the factory's to the connection. asyncio's
  /// `create_unix_connection`.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - path: a socket file, or with a leading `\0` a name in Linux's abstract space.
  /// - Throws: ``IOError`` for `connect`, with the path; what the factory throws; `CancellationError`.
  public func createUnixConnection<P: StreamProtocol>(
    _ factory: () throws -> P, path: String
  ) async throws -> (transport: StreamTransport, protocol: P) {
    check("createUnixConnection")
    let address = try unixAddress(path, "connect")
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try await connect(socket, to: address)
      return try attach(factory, socket, remoteAddress: address)
    } catch {
      socket.close()
      throw error
    }
  }

  /// Listens on a unix socket, and calls the factory for each connection. asyncio's `create_unix_server`.
  ///
  /// A socket file that nobody listens on any more is replaced. The server removes its file when it closes, if it is
  /// still the same.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol of each connection.
  ///   - path: a socket file, or with a leading `\0` a name in Linux's abstract space.
  ///   - backlog: how many connections the kernel keeps waiting, and how many one readiness accepts.
  ///   - cleanupSocket: whether to remove the file at close.
  ///   - startServing: false leaves that to ``Server/startServing()`` or ``Server/serveForever()``.
  /// - Throws: ``IOError`` for `bind`, with the path: `EADDRINUSE` when somebody listens there, or when a file is there
  ///   that is no socket.
  public func createUnixServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, path: String, backlog: Int = 100, cleanupSocket: Bool = true,
    startServing: Bool = true
  ) async throws -> Server {
    check("createUnixServer")
    let address = try unixAddress(path, "bind")
    try SocketFile.removeStale(at: address, .stream, kernel: kernel)
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try socket.bind(to: address)
      let file = SocketFile(of: address, kernel: kernel)
      do {
        let server = try makeServer(factory, [socket], backlog: backlog, startServing: startServing)
        if cleanupSocket, let file { server.onClose = file.remove }
        return server
      } catch {
        file?.remove()
        throw error
      }
    } catch {
      socket.closeDescriptor()
      throw error
    }
  }

  func unixAddress(_ path: String, _ operation: String) throws(IOError) -> SocketAddress {
    if let address = SocketAddress(unixPath: path) { return address }
    let isTooLong = !path.isEmpty && (path.utf8.first == 0 || !path.utf8.contains(0))
    throw IOError(isTooLong ? .fileNameTooLong : .invalidArgument, operation, path.debugDescription)
  }
}
