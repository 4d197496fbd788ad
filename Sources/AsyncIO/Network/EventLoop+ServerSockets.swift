// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Listens on sockets that are bound already, TCP and unix ones alike, such as those that the process was started with.
  /// asyncio's `create_server` with `sock`, which takes one.
  ///
  /// The sockets are made non-blocking, keep their descriptors, and belong to the server from here on.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol of each connection.
  ///   - sockets: at least one.
  ///   - backlog: how many connections the kernel keeps waiting, and how many one readiness accepts. Nil leaves the queue of
  ///     a socket that listens already as whoever made it wants it, and is 100 for one that does not.
  ///   - cleanupSockets: whether to remove the files of unix sockets at close. By default they belong to whoever made them,
  ///     such as a service manager. Files go with the sockets when
  ///     ``startSuccessor(_:_:passing:timeout:options:)`` passes them on, and stay then.
  ///   - startServing: false leaves that to ``Server/startServing()`` or ``Server/serveForever()``.
  ///   - tls: encrypts the connections; nil leaves them plain.
  /// - Throws: ``EventLoopError`` `.invalidArgument` without a socket, or for one that occurs twice; and as
  ///   ``createServer(_:socket:backlog:startServing:tls:)``. The sockets then stay the caller's.
  public func createServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, sockets: [Socket], backlog: Int? = nil, cleanupSockets: Bool = false,
    startServing: Bool = true, tls: ServerTLS? = nil
  ) async throws -> Server {
    try checkOpen("createServer")
    let options = try tls.map { try TLSOptions("createServer", $0) }
    if let backlog { try checkBacklog("createServer", backlog) }
    if sockets.isEmpty { throw EventLoopError(.invalidArgument, "createServer: no socket is given") }
    // All of them before anything is done to the first.
    for socket in sockets { try socket.requireListener("createServer") }
    guard Set(sockets.map(\.descriptor)).count == sockets.count else {
      throw EventLoopError(.invalidArgument, "createServer: a socket occurs twice")
    }
    for socket in sockets { try socket.setNonBlocking(true) }
    let addresses = cleanupSockets ? sockets.map(\.localAddress) : []
    let files = addresses.compactMap { $0.flatMap { SocketFile(of: $0, kernel: kernel) } }
    let server = try makeServer(factory, sockets, options, backlog: backlog, startServing: startServing)
    for file in files { own(file, server) }
    return server
  }
}
