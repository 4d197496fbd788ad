// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

extension EventLoop {
  /// Listens on a host and port, and calls the factory for each connection. asyncio's `create_server`.
  ///
  /// An address that this machine does not have, or of a family that it does not speak, is left out as long as there is
  /// another one, and a warning logged.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol of each connection.
  ///   - host: a name or an address; nil or empty means all interfaces, with one socket for IPv4 and one for IPv6.
  ///   - port: 0 to 65535, or the name of a service; 0 lets the kernel pick one, the same for every socket. See
  ///     ``Server/port``.
  ///   - family: restricts the addresses to one family.
  ///   - flags: flags for the look-up.
  ///   - backlog: how many connections the kernel keeps waiting, and how many one readiness accepts.
  ///   - reuseAddress: whether to take a port whose former connections still time out; nil means yes.
  ///   - reusePort: whether other sockets may listen on the same port, if they ask for it too.
  ///   - keepAlive: whether to probe silent peers.
  ///   - startServing: false leaves that to ``Server/startServing()`` or ``Server/serveForever()``.
  ///   - tls: encrypts the connections; nil leaves them plain. A connection's handshake comes before its
  ///     `connectionMade`; one that fails goes to the exception handler.
  /// - Throws: ``ResolutionError`` when the name has no address; ``IOError`` with the address when one is taken, or with
  ///   all when none is ours, and then nothing is left open; ``EventLoopError`` `.invalidArgument` for time limits of
  ///   `tls` that are not above zero.
  public func createServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, host: String? = nil, port: any ServicePort,
    family: AddressFamily = .unspecified,
    flags: AddressInfoFlags = .passive, backlog: Int = 100, reuseAddress: Bool? = nil, reusePort: Bool = false,
    keepAlive: Bool = false, startServing: Bool = true, tls: ServerTLS? = nil
  ) async throws -> Server {
    try await createServer(
      factory, hosts: [host ?? ""], port: port, family: family, flags: flags, backlog: backlog,
      reuseAddress: reuseAddress, reusePort: reusePort, keepAlive: keepAlive, startServing: startServing, tls: tls)
  }

  /// Listens on several hosts. An address that occurs twice is bound once. asyncio's `create_server`.
  ///
  /// - Throws: as
  ///   ``createServer(_:host:port:family:flags:backlog:reuseAddress:reusePort:keepAlive:startServing:tls:)``.
  public func createServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, hosts: [String], port: any ServicePort, family: AddressFamily = .unspecified,
    flags: AddressInfoFlags = .passive, backlog: Int = 100, reuseAddress: Bool? = nil, reusePort: Bool = false,
    keepAlive: Bool = false, startServing: Bool = true, tls: ServerTLS? = nil
  ) async throws -> Server {
    try checkOpen("createServer")
    let options = try tls.map { try TLSOptions("createServer", $0) }
    try checkBacklog("createServer", backlog)
    var addresses: [AddressInfo] = []
    /// Those that a host was given for, rather than found as an interface of this machine.
    var named: Set<SocketAddress> = []
    for host in hosts {
      let found = try await lookUp(host: host, port: port, family: family, flags: flags, operation: "bind")
      for info in found where !addresses.contains(where: { $0.address == info.address }) { addresses.append(info) }
      if !host.isEmpty { named.formUnion(found.map(\.address)) }
    }
    let binder = Binder(
      kernel: kernel, reuseAddress: reuseAddress ?? true, reusePort: reusePort, keepAlive: keepAlive)
    let (sockets, skipped) = try binder.bind(
      addresses,
      subject: hosts.map { AddressQuery(host: $0, service: port.servicePort).subject }.joined(separator: ", "))
    // That a machine has no IPv6 is nothing new to those who asked for all that it has.
    for (address, failure) in skipped where debug || named.contains(address) {
      EventLoop.log.warning("createServer does not listen on all that it was given: \(failure)")
    }
    do {
      return try makeServer(factory, sockets, options, backlog: backlog, startServing: startServing)
    } catch {
      for socket in sockets { socket.close() }
      throw error
    }
  }

  /// Listens on a socket that is bound already. asyncio's `create_server` with `sock`.
  ///
  /// The socket is made non-blocking, keeps its descriptor, and belongs to the server from here on.
  ///
  /// - Throws: ``IOError`` or ``EventLoopError`` `.invalidArgument` for a socket that is closed, borrowed, in use or not a
  ///   stream, or for time limits of `tls` that are not above zero; ``IOError`` for `listen`. The socket then stays the
  ///   caller's.
  public func createServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, socket: Socket, backlog: Int = 100, startServing: Bool = true,
    tls: ServerTLS? = nil
  ) async throws -> Server {
    try checkOpen("createServer")
    let options = try tls.map { try TLSOptions("createServer", $0) }
    return try makeServer(factory, socket, options, backlog: backlog, startServing: startServing, "createServer")
  }

  /// Makes a server of a socket of the program's, which stays the program's when that fails.
  func makeServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, _ socket: Socket, _ options: TLSOptions?, backlog: Int, startServing: Bool,
    _ operation: String
  ) throws -> Server {
    try checkBacklog(operation, backlog)
    try socket.requireListener(operation)
    try socket.setNonBlocking(true)
    return try makeServer(factory, [socket], options, backlog: backlog, startServing: startServing)
  }

  /// Before anything is bound.
  func checkBacklog(_ method: String, _ backlog: Int) throws(EventLoopError) {
    if backlog < 0 {
      throw EventLoopError(.invalidArgument, "\(method): the backlog must not be below zero, as \(backlog) is")
    }
  }

  /// Makes a server of sockets, which are the caller's again when that fails.
  func makeServer<P: StreamProtocol>(
    _ factory: @escaping () throws -> P, _ sockets: [Socket], _ options: TLSOptions?, backlog: Int?,
    startServing: Bool
  ) throws -> Server {
    let server = try Server(self, sockets, backlog: backlog, options, factory)
    guard startServing else { return server }
    do {
      try server.startServing()
    } catch {
      server.handBackSockets()
      throw error
    }
    return server
  }
}

/// Makes the sockets of a server.
private struct Binder {
  let kernel: any Kernel
  let reuseAddress: Bool
  let reusePort: Bool
  let keepAlive: Bool

  /// How often to look for a port that is free in every family.
  private static let attempts = 16

  /// Bound sockets, and the addresses that this machine has not, each with its error.
  typealias Answer = (sockets: [Socket], skipped: [(address: SocketAddress, failure: IOError)])

  /// One bound socket for each address that this machine has; on one and the same port where the kernel picks it.
  ///
  /// - Throws: where there is no such address, one ``IOError`` that lists each; their own where all say the same.
  func bind(_ addresses: [AddressInfo], subject: String) throws(IOError) -> Answer {
    let picksPort = addresses.allSatisfy { $0.address.port == 0 }
    var attempt = 1
    while true {
      do throws(IOError) {
        let answer = try bindOnce(addresses, picksPort: picksPort)
        guard answer.sockets.isEmpty else { return answer }
        let failures = answer.skipped.map(\.failure)
        throw IOError.combining(failures, "bind", subject) ?? IOError(.addressNotAvailable, "bind", subject)
      } catch {
        // The port that the first family got may be taken in the second: only the whole can be tried again.
        guard picksPort, addresses.count > 1, error.code == .addressInUse, attempt < Binder.attempts else {
          throw error
        }
        attempt += 1
      }
    }
  }

  private func bindOnce(_ addresses: [AddressInfo], picksPort: Bool) throws(IOError) -> Answer {
    var sockets: [Socket] = []
    var port: UInt16?
    var skipped: [(address: SocketAddress, failure: IOError)] = []
    do throws(IOError) {
      for info in addresses {
        let address = port.map(info.address.withPort) ?? info.address
        do throws(IOError) {
          let socket = try bind(info, to: address)
          sockets.append(socket)
          if picksPort, port == nil { port = socket.localAddress?.port }
        } catch {
          // A machine may know names of a family that it does not speak.
          guard error.code == .addressFamilyNotSupported || error.code == .addressNotAvailable else { throw error }
          skipped.append((info.address, error))
        }
      }
    } catch {
      for socket in sockets { socket.close() }
      throw error
    }
    return (sockets, skipped)
  }

  private func bind(_ info: AddressInfo, to address: SocketAddress) throws(IOError) -> Socket {
    let socket = try Socket(streamTo: info, kernel)
    do throws(IOError) {
      if reuseAddress { try socket.setOption(.reuseAddress, true) }
      if reusePort { try socket.setOption(.reusePort, true) }
      if keepAlive { try socket.setOption(.keepAlive, true) }
      // Else the IPv6 socket takes the IPv4 port as well, and whichever comes second fails.
      if info.family == .ipv6 { try socket.setOption(.ipv6Only, true) }
      try socket.bind(to: address)
    } catch {
      socket.close()
      throw error
    }
    return socket
  }
}
