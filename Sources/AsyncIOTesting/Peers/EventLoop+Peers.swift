// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

/// Peers for a program under test, on any loop: of a test, of a simulated host, or a real one.
extension EventLoop {
  /// Connects a peer to a server under test.
  ///
  /// - Throws: `ResolutionError`, `IOError`; `CancellationError`.
  public func connectPeer(host: String = "localhost", port: any ServicePort) async throws -> Peer {
    var failure: (any Error)?
    for info in try await getaddrinfo(host: host, port: port, type: .stream) {
      let socket = try Socket(info.family, .stream, transportProtocol: info.transportProtocol, kernel: kernel)
      do {
        try await sockConnect(socket, info.address)
        return Peer(self, socket)
      } catch {
        socket.close()
        failure = error
      }
    }
    throw failure ?? SimulationError(.failure, "connectPeer: the look-up has returned no address")
  }

  /// Listens, and has a script talk with each client under test.
  ///
  /// A connection is closed when its script is done. What a script throws, the server keeps for ``PeerServer/finish(connections:)``.
  ///
  /// - Parameters:
  ///   - host: the address to listen on.
  ///   - port: the port; 0 for any, see ``PeerServer/port``.
  ///   - file: where the call is.
  ///   - line: where the call is.
  ///   - script: what the peer does.
  /// - Throws: `IOError`.
  public func servePeers(
    host: String = "127.0.0.1", port: UInt16 = 0, file: StaticString = #fileID, line: UInt = #line,
    _ script: @escaping (Peer) async throws -> Void
  ) throws -> PeerServer {
    guard let address = SocketAddress(ip: host, port: port) else {
      misuse("EventLoop.servePeers: \(host) is no address")
    }
    let socket = try Socket(address.family, .stream, transportProtocol: 0, kernel: kernel)
    do {
      try socket.setOption(.reuseAddress, true)
      try socket.bind(to: address)
      try socket.listen()
    } catch {
      socket.close()
      throw error
    }
    return PeerServer(self, socket, file, line, script)
  }

  /// A peer, and the other end of its connection for the program under test: `openConnection(socket:)` makes a reader and a
  /// writer of that, `createConnection(_:socket:)` a transport.
  ///
  /// - Throws: `IOError`.
  public func makePeer() throws(IOError) -> (peer: Peer, socket: Socket) {
    let (first, second) = try makeSocketPair()
    return (Peer(self, first), second)
  }

  /// Two pairs of a reader and a writer: what is written to the one is read from the other. Nothing but memory is between them.
  ///
  /// - Throws: `IOError`.
  public func makeStreamPair() async throws -> (
    (reader: StreamReader, writer: StreamWriter), (reader: StreamReader, writer: StreamWriter)
  ) {
    let (first, second) = try makeSocketPair()
    return (try await openConnection(socket: first), try await openConnection(socket: second))
  }

  private func makeSocketPair() throws(IOError) -> (Socket, Socket) {
    do {
      let (first, second) = try kernel.makeSocketPair(.stream)
      return (Socket(adopting: first, kernel: kernel), Socket(adopting: second, kernel: kernel))
    } catch {
      throw IOError(error, "socketpair")
    }
  }
}

/// A server whose connections scripts talk with. It belongs to its loop's thread.
public final class PeerServer {
  /// The port that it listens on.
  public let port: Int
  private let socket: Socket
  private var accepting: LoopTask<Void>?
  /// The scripts that were begun, in the order of their connections.
  private var scripts: [LoopTask<Void>] = []
  /// Opened with each connection.
  private let arrival: Event

  init(
    _ loop: EventLoop, _ socket: Socket, _ file: StaticString, _ line: UInt,
    _ script: @escaping (Peer) async throws -> Void
  ) {
    self.socket = socket
    arrival = Event(loop)
    port = Int(socket.localAddress?.port ?? 0)
    // It keeps the server, which a test may be done with once it knows the port.
    accepting = loop.createTask(name: "peer server", file: file, line: line) { [self] in
      while true {
        let peer = Peer(loop, try await loop.sockAccept(socket).connection)
        scripts.append(
          loop.createTask(name: "peer \(scripts.count + 1)", file: file, line: line) {
            defer { peer.close() }
            try await script(peer)
          })
        arrival.set()
      }
    }
  }

  /// How many connections there have been.
  public var connectionCount: Int { scripts.count }

  /// Waits until there were so many connections, stops listening, and waits for the scripts.
  ///
  /// - Parameter connections: how many connections the program makes, or more.
  /// - Throws: what the first script threw; `CancellationError`, which ends them.
  public func finish(connections: Int = 1) async throws {
    while scripts.count < connections {
      arrival.clear()
      try await arrival.wait()
    }
    accepting?.cancel()
    _ = await accepting?.outcome
    socket.close()
    var failure: (any Error)?
    for script in scripts {
      do { try await script.value } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }
}
