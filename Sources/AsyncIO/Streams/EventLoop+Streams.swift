// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Handles one connection of a stream server.
  public typealias StreamHandler = (StreamReader, StreamWriter) async throws -> Void

  /// Connects to a host and port. asyncio's `open_connection`.
  ///
  /// The limit is the reader's, in bytes. The other arguments are those of
  /// ``createConnection(_:host:port:family:protocol:flags:localAddress:happyEyeballsDelay:interleave:tls:)``.
  ///
  /// - Throws: as ``createConnection(_:host:port:family:protocol:flags:localAddress:happyEyeballsDelay:interleave:tls:)``;
  ///   ``EventLoopError`` `.invalidArgument` for a limit of zero or less.
  public func openConnection(
    host: String, port: any ServicePort, limit: Int = StreamReader.defaultLimit, family: AddressFamily = .unspecified,
    protocol: Int32 = 0, flags: AddressInfoFlags = [], localAddress: (host: String, port: any ServicePort)? = nil,
    happyEyeballsDelay: Duration? = nil, interleave: Int? = nil, tls: ClientTLS? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) async throws -> (reader: StreamReader, writer: StreamWriter) {
    // Before the connection, so that a limit of no use costs none.
    let connection = try StreamConnection(self, limit: limit)
    let (transport, _) = try await createConnection(
      { connection }, host: host, port: port, family: family, protocol: `protocol`, flags: flags,
      localAddress: localAddress, happyEyeballsDelay: happyEyeballsDelay, interleave: interleave, tls: tls)
    return (connection.reader, StreamWriter(transport, connection, madeAt: CallSite(file, line)))
  }

  /// Makes reader and writer for a socket that is connected already. asyncio's `open_connection` with `sock`.
  ///
  /// - Throws: as ``createConnection(_:socket:tls:)``.
  public func openConnection(
    socket: Socket, limit: Int = StreamReader.defaultLimit, tls: ClientTLS? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) async throws -> (reader: StreamReader, writer: StreamWriter) {
    let connection = try StreamConnection(self, limit: limit)
    let (transport, _) = try await createConnection({ connection }, socket: socket, tls: tls)
    return (connection.reader, StreamWriter(transport, connection, madeAt: CallSite(file, line)))
  }

  /// Listens on a host and port, and runs the handler as a task for each connection. asyncio's `start_server`.
  ///
  /// A connection is closed when its handler lets go of the writer, at the latest when it returns. An error that the
  /// handler throws goes to the exception handler, and its connection is closed.
  ///
  /// The limit is the readers', in bytes. The other arguments are those of
  /// ``createServer(_:host:port:family:flags:backlog:reuseAddress:reusePort:keepAlive:startServing:tls:)``.
  ///
  /// - Throws: as ``createServer(_:host:port:family:flags:backlog:reuseAddress:reusePort:keepAlive:startServing:tls:)``.
  public func startServer(
    host: String? = nil, port: any ServicePort, limit: Int = StreamReader.defaultLimit,
    family: AddressFamily = .unspecified,
    flags: AddressInfoFlags = .passive, backlog: Int = 100, reuseAddress: Bool? = nil, reusePort: Bool = false,
    keepAlive: Bool = false, startServing: Bool = true, tls: ServerTLS? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createServer(
      streamFactory(limit, handler), host: host, port: port, family: family, flags: flags, backlog: backlog,
      reuseAddress: reuseAddress, reusePort: reusePort, keepAlive: keepAlive, startServing: startServing, tls: tls)
  }

  /// Listens on several hosts, and runs the handler as a task for each connection. asyncio's `start_server`.
  ///
  /// - Throws: as ``createServer(_:host:port:family:flags:backlog:reuseAddress:reusePort:keepAlive:startServing:tls:)``.
  public func startServer(
    hosts: [String], port: any ServicePort, limit: Int = StreamReader.defaultLimit,
    family: AddressFamily = .unspecified,
    flags: AddressInfoFlags = .passive, backlog: Int = 100, reuseAddress: Bool? = nil, reusePort: Bool = false,
    keepAlive: Bool = false, startServing: Bool = true, tls: ServerTLS? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createServer(
      streamFactory(limit, handler), hosts: hosts, port: port, family: family, flags: flags, backlog: backlog,
      reuseAddress: reuseAddress, reusePort: reusePort, keepAlive: keepAlive, startServing: startServing, tls: tls)
  }

  /// Listens on a socket that is bound already. asyncio's `start_server` with `sock`.
  ///
  /// - Throws: as ``createServer(_:socket:backlog:startServing:tls:)``.
  public func startServer(
    socket: Socket, limit: Int = StreamReader.defaultLimit, backlog: Int = 100, startServing: Bool = true,
    tls: ServerTLS? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createServer(
      streamFactory(limit, handler), socket: socket, backlog: backlog, startServing: startServing, tls: tls)
  }

  /// Listens on sockets that are bound already, and runs the handler as a task for each connection. asyncio's
  /// `start_server` with `sock`, which takes one.
  ///
  /// - Throws: as ``createServer(_:sockets:backlog:cleanupSockets:startServing:tls:)``.
  public func startServer(
    sockets: [Socket], limit: Int = StreamReader.defaultLimit, backlog: Int? = nil, cleanupSockets: Bool = false,
    startServing: Bool = true, tls: ServerTLS? = nil, _ handler: @escaping StreamHandler
  ) async throws -> Server {
    try await createServer(
      streamFactory(limit, handler), sockets: sockets, backlog: backlog, cleanupSockets: cleanupSockets,
      startServing: startServing, tls: tls)
  }

  func streamFactory(
    _ limit: Int, _ handler: @escaping StreamHandler
  ) throws -> () throws -> StreamConnection {
    // Fails now rather than with each connection.
    _ = try StreamReader(self, limit: limit)
    return { [unowned self] in
      try StreamConnection(self, limit: limit) { reader, writer in
        self.serve(reader, writer, handler)
      }
    }
  }

  private func serve(_ reader: StreamReader, _ writer: StreamWriter, _ handler: @escaping StreamHandler) {
    // The task's closure holds the writer until the handler is done with it: dropping it closes the connection.
    createTask { [self] in
      do { try await handler(reader, writer) } catch { handlerFailed(writer, error) }
    }
  }

  // Apart, since a task keeps the memory for all that its functions may need for as long as the connection lasts.
  @inline(never)
  private func handlerFailed(_ writer: StreamWriter, _ error: any Error) {
    if !(error is CancellationError) {
      var context = ExceptionContext(message: "error in the handler of a stream connection", error: error)
      context.transport = writer.transport
      callExceptionHandler(context)
    }
    writer.close()
  }
}
