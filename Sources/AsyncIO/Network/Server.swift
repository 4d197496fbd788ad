// SPDX-License-Identifier: Apache-2.0

/// Listening sockets and the connections that they accepted. asyncio's `Server`.
///
/// It is made by `createServer` or `startServer`, and belongs to its loop's thread. It serves until it is closed,
/// whether or not somebody holds it.
public final class Server {
  /// The loop on whose thread it works. asyncio's `get_loop`.
  public let loop: EventLoop
  /// The port on which it listens, also once it is closed; zero for a server of a unix socket.
  ///
  /// It is the same for all of its ``sockets``. Where port 0 was asked for, this is what the kernel picked.
  public let port: Int
  private var listeners: [Listener] = []
  /// The connections that have not ended.
  private let connections = ConnectionTable()
  /// Who waits for the close, or for the end of the last connection.
  private let changes: Gate
  /// The files of unix sockets that go with the server; none once they are gone, or another process's.
  var files: [OwnedSocketFile] = []
  /// Whether it was closed.
  private var isClosed = false
  private var serves = false
  /// Whether a task is in ``serveForever()``.
  private var isServingForever = false

  init<P: StreamProtocol>(
    _ loop: EventLoop, _ sockets: [Socket], backlog: Int?, _ options: TLSOptions?, _ factory: @escaping () throws -> P
  ) throws {
    self.loop = loop
    changes = Gate(loop)
    for socket in sockets { try socket.handOver("createServer") }
    port = sockets.first?.localAddress?.port.map(Int.init) ?? 0
    // The listeners keep the server alive as long as it serves.
    listeners = sockets.map { socket in
      Listener(loop, socket, backlog: backlog) { self.accept($0, $1, options, factory) }
    }
  }

  private func accept<P: StreamProtocol>(
    _ socket: Socket, _ address: SocketAddress?, _ options: TLSOptions?, _ factory: () throws -> P
  ) {
    do {
      let stage = try options?.makeStage(on: socket, loop)
      stage?.isAwaited = false
      _ = try loop.attach(factory, socket, stage, isShared: false, remoteAddress: address, connections)
    } catch {
      socket.close()
      let culprit = error is TLSError ? "the TLS provider" : "the protocol factory"
      var context = ExceptionContext(message: "\(culprit) of a server threw", error: error)
      context.socket = socket
      loop.callExceptionHandler(context)
    }
  }

  /// The listening sockets, to look at; none once it is closed. asyncio's `sockets`.
  public var sockets: [Socket] {
    loop.checkThread("Server.sockets")
    return listeners.map(\.socket)
  }

  /// Whether it accepts connections. asyncio's `is_serving`.
  public var isServing: Bool {
    loop.checkThread("Server.isServing")
    return serves
  }

  /// How many accepted connections have not ended.
  public var connectionCount: Int {
    loop.checkThread("Server.connectionCount")
    return connections.count
  }

  /// Begins to accept connections. Does nothing when it does so already. asyncio's `start_serving`.
  ///
  /// - Throws: ``EventLoopError`` `.serverState` when it is closed; ``IOError`` for `listen`.
  public func startServing() throws {
    try loop.checkOpen("Server.startServing")
    guard !isClosed else { throw EventLoopError(.serverState, "startServing: the server is closed") }
    guard !serves else { return }
    do {
      for listener in listeners { try listener.start() }
    } catch {
      for listener in listeners { listener.stop() }
      throw error
    }
    serves = true
  }

  /// Accepts connections until ``close()`` is called, or the task is cancelled. asyncio's `serve_forever`.
  ///
  /// It returns once the server is closed and the last connection has ended. The cancellation closes the server and its
  /// connections, waits for them, and is thrown.
  ///
  /// - Throws: `CancellationError` when the task is cancelled; ``EventLoopError`` `.serverState` when it is closed, or another task does this
  ///   already; ``IOError`` for `listen`.
  public func serveForever() async throws {
    guard !isServingForever else {
      throw EventLoopError(.serverState, "serveForever: another task serves with this server already")
    }
    try startServing()
    isServingForever = true
    defer { isServingForever = false }
    do {
      try await changes.waitUntil("Server.serveForever") { isOver }
    } catch {
      close()
      closeClients()
      await waitUntilOver()
      throw error
    }
  }

  /// Stops listening, at once. asyncio's `close`.
  ///
  /// Connections that were accepted stay open. Closing twice does nothing.
  public func close() {
    loop.checkThread("Server.close")
    guard !isClosed else { return }
    isClosed = true
    serves = false
    let closing = listeners
    listeners.removeAll()
    for listener in closing { listener.close() }
    for file in files { file.remove() }
    files.removeAll()
    connections.onceEmpty { [changes] in changes.wakeAll() }
  }

  /// Leaves the files of unix sockets to the process that has the sockets now.
  func leaveFiles() {
    for file in files { file.leave() }
    files.removeAll()
  }

  /// Ends a server that never served, without closing its sockets.
  func handBackSockets() {
    isClosed = true
    let ending = listeners
    listeners.removeAll()
    for listener in ending { listener.handBack() }
  }

  /// Closes the connections that were accepted, after what they have buffered is sent. asyncio's `close_clients`.
  public func closeClients() {
    loop.checkThread("Server.closeClients")
    for transport in connections.all { transport.close() }
  }

  /// Ends the connections that were accepted, at once. asyncio's `abort_clients`.
  public func abortClients() {
    loop.checkThread("Server.abortClients")
    for transport in connections.all { transport.abort() }
  }

  /// Waits until the server is closed and all its connections have ended. asyncio's `wait_closed`.
  ///
  /// - Throws: `CancellationError` when the task is cancelled.
  public func waitClosed() async throws {
    loop.checkThread("Server.waitClosed")
    try await changes.waitUntil("Server.waitClosed") { isOver }
  }

  /// The same in a task that is cancelled already.
  func waitUntilOver() async { await changes.waitRegardless { isOver } }

  private var isOver: Bool { isClosed && connections.isEmpty }
}
