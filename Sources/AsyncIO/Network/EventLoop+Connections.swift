// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Connects to a host and port, and ties a protocol of the factory's to the connection. asyncio's
  /// `create_connection`.
  ///
  /// The host's addresses are tried in order until one answers. Then the factory is called, the protocol's
  /// `connectionMade`, and reading begins, before this returns. Name look-ups run on threads of their own. The socket
  /// has `TCP_NODELAY` set.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - host: a name or an address; empty means this machine.
  ///   - port: 1 to 65535, or the name of a service, such as `"https"`.
  ///   - family: restricts the addresses to one family.
  ///   - protocol: the transport protocol's number for the look-up; 0 for any.
  ///   - flags: flags for the look-up.
  ///   - localAddress: host and port to bind to before connecting; those are looked up too.
  ///   - happyEyeballsDelay: how long an attempt has for itself before the next one begins beside it, as RFC 8305 has
  ///     it (250 ms there); the first to succeed wins. Nil: one address after the other.
  ///   - interleave: whether to take the addresses of IPv4 and IPv6 in turns, after so many of the preferred family.
  ///     Nil: 1 with a delay, else the resolver's order.
  ///   - tls: encrypts the connection; nil leaves it plain. The name to check is the host, unless it has another one. The
  ///     handshake comes before `connectionMade`.
  /// - Throws: ``ResolutionError`` when the name has no address; ``IOError`` when none of them answers, with the error
  ///   of each, or when the peer goes away during the handshake or takes too long for it; ``TLSError`` when the
  ///   handshake fails; `CancellationError` when the task is cancelled, and then nothing is left behind; what the
  ///   factory throws.
  public func createConnection<P: StreamProtocol>(
    _ factory: () throws -> P, host: String, port: any ServicePort, family: AddressFamily = .unspecified,
    protocol: Int32 = 0, flags: AddressInfoFlags = [], localAddress: (host: String, port: any ServicePort)? = nil,
    happyEyeballsDelay: Duration? = nil, interleave: Int? = nil, tls: ClientTLS? = nil
  ) async throws -> (transport: StreamTransport, protocol: P) {
    try checkOpen("createConnection")
    let options = try tls.map { try TLSOptions("createConnection", $0, host: host) }
    guard (happyEyeballsDelay ?? .zero) >= .zero, (interleave ?? 0) >= 0 else {
      throw EventLoopError(
        .invalidArgument, "createConnection: neither happyEyeballsDelay nor interleave may be below zero")
    }
    var addresses = try await lookUp(
      host: host, port: port, family: family, transportProtocol: `protocol`, flags: flags, operation: "connect")
    let turns = interleave ?? (happyEyeballsDelay == nil ? 0 : 1)
    if turns > 0 { addresses = addresses.interleaved(first: turns) }
    var connector = Connector(loop: self, raceDelay: happyEyeballsDelay)
    if let localAddress {
      connector.localAddresses = try await lookUp(
        host: localAddress.host, port: localAddress.port, family: family, transportProtocol: `protocol`, flags: flags,
        operation: "bind")
    }
    let socket = try await connector.connect(
      addresses, subject: AddressQuery(host: host, service: port.servicePort).subject)
    return try await attachNew(factory, socket, options, "createConnection")
  }

  /// Ties a protocol of the factory's to a socket that is connected already. asyncio's `create_connection` with `sock`.
  ///
  /// The socket is made non-blocking, and belongs to the transport from here on.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - socket: a connected stream socket.
  ///   - tls: encrypts the connection; nil leaves it plain. It needs a ``ClientTLS/serverHostname``. The handshake comes
  ///     before `connectionMade`.
  /// - Throws: ``IOError`` or ``EventLoopError`` `.invalidArgument` for a socket that is closed, borrowed, in use, not
  ///   connected, listening or not a stream, or for `tls` without a name or with a time limit that is not above zero; the
  ///   socket then stays the caller's. What the factory throws. ``TLSError`` and ``IOError`` when the handshake fails; the
  ///   socket is closed then.
  public func createConnection<P: StreamProtocol>(
    _ factory: () throws -> P, socket: Socket, tls: ClientTLS? = nil
  ) async throws -> (transport: StreamTransport, protocol: P) {
    try checkOpen("createConnection")
    let options = try tls.map { try TLSOptions("createConnection", $0) }
    return try await adopt(factory, socket, options, "createConnection")
  }

  /// Ties a protocol of the factory's to a socket that was accepted outside of the loop. asyncio's
  /// `connect_accepted_socket`.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - socket: a connected stream socket.
  ///   - tls: encrypts the connection, as the end that accepts; nil leaves it plain.
  /// - Throws: as ``createConnection(_:socket:tls:)``.
  public func connectAcceptedSocket<P: StreamProtocol>(
    _ factory: () throws -> P, socket: Socket, tls: ServerTLS? = nil
  ) async throws -> (transport: StreamTransport, protocol: P) {
    try checkOpen("connectAcceptedSocket")
    let options = try tls.map { try TLSOptions("connectAcceptedSocket", $0) }
    return try await adopt(factory, socket, options, "connectAcceptedSocket")
  }

  func adopt<P: StreamProtocol>(
    _ factory: () throws -> P, _ socket: Socket, _ options: TLSOptions?, _ operation: StaticString
  ) async throws -> (transport: StreamTransport, protocol: P) {
    try socket.requireStream("\(operation)")
    try socket.requireGift("\(operation)")
    if try socket.option(.acceptsConnections) {
      throw EventLoopError(.invalidArgument, "\(operation): the socket listens; a connected one is needed")
    }
    guard socket.remoteAddress != nil else { throw IOError(.socketNotConnected, "\(operation)", "the given socket") }
    try socket.setNonBlocking(true)
    let connection = try attach(factory, socket, options?.makeStage(on: socket, self))
    if options != nil { try await connection.transport.waitForHandshake(operation) }
    return connection
  }

  /// Makes protocol and transport for a socket of our own, which is closed when that fails.
  func attachNew<P: StreamProtocol>(
    _ factory: () throws -> P, _ socket: Socket, remoteAddress: SocketAddress? = nil, _ options: TLSOptions?,
    _ operation: StaticString
  ) async throws -> (transport: StreamTransport, protocol: P) {
    let connection: (transport: StreamTransport, protocol: P)
    do {
      let stage = try options?.makeStage(on: socket, self)
      connection = try attach(factory, socket, stage, isShared: false, remoteAddress: remoteAddress)
    } catch {
      socket.close()
      throw error
    }
    if options != nil { try await connection.transport.waitForHandshake(operation) }
    return connection
  }

  /// Makes protocol and transport for a connected socket. When the factory throws, the socket is the caller's again.
  func attach<P: StreamProtocol>(
    _ factory: () throws -> P, _ socket: Socket, _ stage: TLSStage? = nil, isShared: Bool = true,
    remoteAddress: SocketAddress? = nil, _ connections: ConnectionTable? = nil
  ) throws -> (transport: StreamTransport, protocol: P) {
    try socket.handOver("connect")
    let receiver: P
    do {
      receiver = try factory()
    } catch {
      socket.handBack()
      throw error
    }
    let remote = remoteAddress ?? socket.remoteAddress
    // Refused by sockets that are not TCP's, which need it as little.
    if remote?.port != nil { try? socket.setOption(.noDelay, true) }
    let transport = StreamTransport(self, socket, isShared: isShared, remoteAddress: remote)
    connections?.insert(transport)
    transport.start(receiver, stage)
    return (transport, receiver)
  }
}

extension Socket {
  /// Rejects what cannot carry a stream.
  func requireStream(_ operation: String) throws { try require(.stream, "stream", operation) }

  /// Rejects what cannot carry datagrams.
  func requireDatagrams(_ operation: String) throws { try require(.datagram, "datagram", operation) }

  private func require(_ wanted: SocketKind, _ name: String, _ operation: String) throws {
    guard !isClosed else { throw IOError(.badFileDescriptor, operation, "a closed socket") }
    guard let kind else { throw IOError(.notSocket, operation, "descriptor \(descriptor.rawValue)") }
    guard kind == wanted else {
      throw EventLoopError(.invalidArgument, "\(operation): the socket is not a \(name) socket")
    }
  }

  /// Rejects what no server can listen on.
  func requireListener(_ operation: String) throws {
    try requireStream(operation)
    try requireGift(operation)
    if remoteAddress != nil {
      throw EventLoopError(.invalidArgument, "\(operation): the socket is connected; a listening one is needed")
    }
  }

  /// Rejects what cannot be given away, before anything is done to it.
  func requireGift(_ operation: String) throws {
    if isBorrowed {
      throw EventLoopError(
        .invalidArgument,
        "\(operation): the socket is borrowed, and would be closed with the transport; adopt a duplicate of it")
    }
    if isHandedOver { throw IOError(.badFileDescriptor, operation, "a socket that is in use") }
  }
}
