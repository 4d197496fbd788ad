// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Makes an endpoint that sends and receives UDP datagrams. asyncio's `create_datagram_endpoint`.
  ///
  /// Hosts are looked up, and the family of the first address that can be bound and connected is taken. Then the
  /// factory is called, the protocol's `connectionMade`, and receiving begins, before this returns.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - localAddress: host and port to receive on; an empty host means all interfaces, port 0 one of the kernel's
  ///     choice. Nil: what the kernel picks when the first datagram is sent.
  ///   - remoteAddress: host and port of the only peer: datagrams go there by default, and none from elsewhere arrive.
  ///   - family: restricts the addresses to one family. It is needed where no address is given.
  ///   - protocol: the transport protocol's number for the look-up; 0 for any.
  ///   - flags: flags for the look-ups.
  ///   - reusePort: whether other sockets may be bound to the same port, if they ask for it too.
  ///   - allowBroadcast: whether datagrams may go to broadcast addresses. The endpoint is then not connected to its
  ///     remote address, since the answers come from others; datagrams still go there.
  /// - Throws: ``EventLoopError`` `.invalidArgument` without address and family, or for addresses of different families;
  ///   ``ResolutionError`` when a name has no address; ``IOError`` for the first that failed, and then nothing is left
  ///   open; what the factory throws.
  public func createDatagramEndpoint<P: DatagramProtocol>(
    _ factory: () throws -> P, localAddress: (host: String, port: any ServicePort)? = nil,
    remoteAddress: (host: String, port: any ServicePort)? = nil, family: AddressFamily = .unspecified,
    protocol: Int32 = 0,
    flags: AddressInfoFlags = [], reusePort: Bool = false, allowBroadcast: Bool = false
  ) async throws -> (transport: DatagramTransport, protocol: P) {
    try checkOpen("createDatagramEndpoint")
    guard localAddress != nil || remoteAddress != nil || family != .unspecified else {
      throw EventLoopError(.invalidArgument, "createDatagramEndpoint: give a local address, a remote one, or a family")
    }
    var local: [AddressInfo]?
    if let localAddress {
      local = try await lookUp(
        host: localAddress.host, port: localAddress.port, family: family, kind: .datagram,
        transportProtocol: `protocol`, flags: localAddress.host.isEmpty ? flags.union(.passive) : flags,
        operation: "bind")
    }
    var remote: [AddressInfo]?
    if let remoteAddress {
      remote = try await lookUp(
        host: remoteAddress.host, port: remoteAddress.port, family: family, kind: .datagram,
        transportProtocol: `protocol`, flags: flags, operation: "connect")
    }
    let binder = DatagramBinder(kernel: kernel, reusePort: reusePort, allowBroadcast: allowBroadcast)
    let plans = try DatagramBinder.plans(
      local: local, remote: remote, family: family, transportProtocol: `protocol`)
    return try attach(factory, try binder.bind(plans))
  }

  /// Makes an endpoint that sends and receives datagrams on this machine, by unix sockets. asyncio's
  /// `create_datagram_endpoint` with `AF_UNIX`.
  ///
  /// A path is a `String`, a `FilePath`, or bytes such as ``SocketAddress/unixName``. One that begins with a zero byte is
  /// a name in Linux's abstract space.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - localPath: where to receive. A socket file at which nobody receives any more is replaced, and the endpoint's
  ///     own is removed when it closes. Nil: nobody can answer.
  ///   - remotePath: the only peer.
  /// - Throws: ``EventLoopError`` `.invalidArgument` without a path; ``IOError`` with the path when it is no path for a
  ///   socket, or taken, or nobody is there, and then nothing is left open; what the factory throws.
  public func createDatagramEndpoint<P: DatagramProtocol>(
    _ factory: () throws -> P, localPath: (any SystemText)? = nil, remotePath: (any SystemText)? = nil
  ) async throws -> (transport: DatagramTransport, protocol: P) {
    try checkOpen("createDatagramEndpoint")
    guard localPath != nil || remotePath != nil else {
      throw EventLoopError(.invalidArgument, "createDatagramEndpoint: give a local path or a remote one")
    }
    let plan = DatagramBinder.Plan(
      family: .unix, transportProtocol: 0, local: try localPath.map { try unixAddress($0, "bind") },
      remote: try remotePath.map { try unixAddress($0, "connect") })
    return try attach(factory, try DatagramBinder(kernel: kernel).bind([plan]))
  }

  /// Makes an endpoint of a datagram socket, as it is bound and connected. asyncio's `create_datagram_endpoint` with
  /// `sock`.
  ///
  /// The socket is made non-blocking, and belongs to the transport from here on.
  ///
  /// - Throws: ``IOError`` or ``EventLoopError`` `.invalidArgument` for a socket that is closed, borrowed, in use, or not
  ///   one for datagrams; it then stays the caller's. What the factory throws.
  public func createDatagramEndpoint<P: DatagramProtocol>(
    _ factory: () throws -> P, socket: Socket
  ) async throws -> (transport: DatagramTransport, protocol: P) {
    try checkOpen("createDatagramEndpoint")
    try socket.requireDatagrams("createDatagramEndpoint")
    try socket.requireGift("createDatagramEndpoint")
    try socket.setNonBlocking(true)
    return try attach(factory, BoundDatagramSocket(socket: socket, remoteAddress: socket.remoteAddress), isGiven: true)
  }

  /// Makes protocol and transport. When the factory throws, a socket of ours is closed, a given one is the caller's
  /// again.
  private func attach<P: DatagramProtocol>(
    _ factory: () throws -> P, _ bound: BoundDatagramSocket, isGiven: Bool = false
  ) throws -> (transport: DatagramTransport, protocol: P) {
    try bound.socket.handOver("createDatagramEndpoint")
    let receiver: P
    do {
      receiver = try factory()
    } catch {
      bound.socket.handBack()
      if !isGiven { bound.discard() }
      throw error
    }
    let transport = DatagramTransport(
      self, bound.socket, remoteAddress: bound.remoteAddress, destination: bound.destination, file: bound.file)
    transport.start(receiver)
    return (transport, receiver)
  }
}

/// A socket that is ready to be an endpoint's.
private struct BoundDatagramSocket {
  let socket: Socket
  /// The peer that it is connected to.
  var remoteAddress: SocketAddress?
  /// Where its datagrams go, as the program named it.
  var destination: SocketAddress?
  /// The file that it is bound to.
  var file: SocketFile?

  func discard() {
    file?.remove()
    socket.close()
  }
}

/// Makes the sockets of datagram endpoints.
private struct DatagramBinder {
  let kernel: any Kernel
  var reusePort = false
  var allowBroadcast = false

  /// One way to make the socket.
  struct Plan {
    var family: AddressFamily
    var transportProtocol: Int32
    var local: SocketAddress?
    var remote: SocketAddress?
  }

  /// A plan for each family that has an address of every kind that was asked for: the first of each.
  static func plans(
    local: [AddressInfo]?, remote: [AddressInfo]?, family: AddressFamily, transportProtocol: Int32
  ) throws -> [Plan] {
    guard let first = local ?? remote else { return [Plan(family: family, transportProtocol: transportProtocol)] }
    var plans: [Plan] = []
    for info in first where !plans.contains(where: { $0.family == info.family }) {
      let peer = remote?.first { $0.family == info.family }
      if remote != nil, peer == nil { continue }
      plans.append(
        Plan(
          family: info.family, transportProtocol: info.transportProtocol,
          local: local == nil ? nil : info.address, remote: peer?.address))
    }
    guard plans.isEmpty else { return plans }
    let names = [local, remote].map { ($0 ?? []).map(\.address.description).joined(separator: ", ") }
    throw EventLoopError(
      .invalidArgument,
      "createDatagramEndpoint: the local address (\(names[0])) and the remote one (\(names[1])) have no family in common"
    )
  }

  /// A socket by the first plan that works.
  func bind(_ plans: [Plan]) throws(IOError) -> BoundDatagramSocket {
    var failure: IOError?
    for plan in plans {
      do throws(IOError) {
        return try bind(plan)
      } catch {
        failure = failure ?? error
      }
    }
    throw failure ?? IOError(.addressNotAvailable, "bind", "no address")
  }

  private func bind(_ plan: Plan) throws(IOError) -> BoundDatagramSocket {
    let socket = try Socket(plan.family, .datagram, transportProtocol: plan.transportProtocol, kernel: kernel)
    var bound = BoundDatagramSocket(socket: socket)
    do throws(IOError) {
      if reusePort { try socket.setOption(.reusePort, true) }
      if allowBroadcast { try socket.setOption(.broadcast, true) }
      if let local = plan.local {
        try SocketFile.removeStale(at: local, .datagram, kernel: kernel)
        try socket.bind(to: local)
        bound.file = SocketFile(of: local, kernel: kernel)
      }
      if let remote = plan.remote {
        if allowBroadcast {
          bound.destination = remote
        } else {
          try socket.connect(to: remote)
          // The kernel may have put another one in its place: loopback's for a wildcard.
          bound.remoteAddress = socket.remoteAddress ?? remote
          bound.destination = remote
        }
      }
    } catch {
      bound.discard()
      throw error
    }
    return bound
  }
}
