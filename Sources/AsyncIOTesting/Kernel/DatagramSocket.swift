// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import DequeModule
import SystemPackage

/// A socket of datagrams.
final class DatagramSocket: SimulatedSocket {
  private var inbox = Deque<(bytes: [UInt8], sender: SocketAddress)>()
  private var inboxSize = 0
  private var peer: SocketAddress?
  private var error: Errno?

  /// The longest that fits into a packet of IPv4.
  private static let largest = 65_507
  /// How many datagrams a unix socket holds, as Linux comes.
  private static let unixQueueLimit = 10

  override var socketKind: SocketKind { .datagram }
  override var peerAddress: SocketAddress? { peer }
  override var label: String { "a datagram socket\(localAddress.map { " \($0)" } ?? "")" }
  override func takeError() -> Errno? { error.take() }

  override var readiness: Interest {
    if error != nil { return [.read, .write, .hangUp] }
    return inbox.isEmpty ? .write : [.read, .write]
  }

  func connect(to address: SocketAddress) throws(Errno) {
    guard address.family == family else { throw .addressFamilyNotSupported }
    if family == .unix {
      _ = try unixPeer(address)
    } else {
      try bindImplicitly(toReach: address)
    }
    peer =
      address.isWildcard ? SocketAddress(ip: family == .ipv4 ? "127.0.0.1" : "::1", port: address.port ?? 0) : address
  }

  func connectPair(_ other: DatagramSocket, _ name: SocketAddress) { peer = name }

  // MARK: Receiving

  func receive() throws(Errno) -> (bytes: [UInt8], sender: SocketAddress) {
    if let error = takeError() { throw error }
    guard let first = inbox.popFirst() else { throw .wouldBlock }
    inboxSize -= first.bytes.count
    return first
  }

  var isEmpty: Bool { inbox.isEmpty && error == nil }

  /// Takes a datagram that has arrived; false when there is no room, or it is not from the peer.
  @discardableResult
  func arrived(_ bytes: [UInt8], from sender: SocketAddress) -> Bool {
    if family != .unix, let peer, peer != sender { return false }
    guard inboxSize + bytes.count <= kernel.host.socketBufferSize else { return false }
    inbox.append((bytes, sender))
    inboxSize += bytes.count
    changed()
    return true
  }

  // MARK: Sending

  func send(_ bytes: Span<UInt8>, to address: SocketAddress?) throws(Errno) {
    if let error = takeError() { throw error }
    guard let target = address ?? peer else { throw .addressRequired }
    guard target.family == family else { throw .addressFamilyNotSupported }
    if family == .unix { return try sendUnix([UInt8](copying: bytes), to: target) }
    guard bytes.count <= DatagramSocket.largest else { throw .messageTooLong }
    guard let network = kernel.host.network else { throw .networkUnreachable }
    let isBroadcast = target.host == "255.255.255.255"
    if isBroadcast, !isSet(.broadcast) { throw .permissionDenied }
    try bindImplicitly(toReach: target)
    let copy = [UInt8](copying: bytes)
    let targets =
      isBroadcast ? network.broadcastPaths(from: kernel.host) : [try network.path(from: kernel.host, to: target)]
    for path in targets { launch(copy, path, to: target, isBroadcast: isBroadcast) }
  }

  private func launch(_ bytes: [UInt8], _ path: Path, to target: SocketAddress, isBroadcast: Bool) {
    guard let host = path.to, path.isOpen else { return }
    let sender = sourceAddress(path, target)
    let key = PortTable.Key(isDatagram: true, family: family, port: target.port ?? 0)
    let address = target.isWildcard ? sender.withPort(target.port ?? 0) : target
    for delay in path.datagramDelays(bytes.count) {
      kernel.world.schedule(after: delay) { [weak self] in
        guard path.isOpen, let kernel = host.kernel else { return }
        let bound = kernel.ports.sockets(
          at: isBroadcast ? host.anyAddress(self?.family ?? .ipv4, key.port) : address, key
        )
        .compactMap { $0 as? DatagramSocket }
        if bound.isEmpty {
          // The other host says that nobody is there, to who asked by a connected socket.
          if !isBroadcast { path.back.carry { self?.refused(by: target) } }
        } else if isBroadcast {
          for socket in bound { socket.arrived(bytes, from: sender) }
        } else {
          bound[kernel.world.choices.below(bound.count)].arrived(bytes, from: sender)
        }
      }
    }
  }

  /// From where the other host sees it come.
  private func sourceAddress(_ path: Path, _ target: SocketAddress) -> SocketAddress {
    guard let localAddress, localAddress.isWildcard else { return localAddress ?? .unnamed }
    let port = localAddress.port ?? 0
    if path.from === path.to { return target.isWildcard ? loopback.withPort(port) : target.withPort(port) }
    return (kernel.host.address(of: family) ?? loopback).withPort(port)
  }

  private var loopback: SocketAddress {
    SocketAddress(ip: family == .ipv4 ? "127.0.0.1" : "::1", port: 0) ?? .unnamed
  }

  private func refused(by target: SocketAddress) {
    guard peer == target else { return }
    error = .connectionRefused
    changed()
  }

  // MARK: Unix

  private func unixPeer(_ address: SocketAddress) throws(Errno) -> DatagramSocket {
    guard let name = address.unixName, let entry = kernel.socketFiles[name] else {
      throw address.unixName?.first == 0 ? .connectionRefused : .noSuchFileOrDirectory
    }
    guard let socket = entry.socket else { throw .connectionRefused }
    guard let socket = socket as? DatagramSocket else { throw .protocolWrongTypeForSocket }
    return socket
  }

  private func sendUnix(_ bytes: [UInt8], to address: SocketAddress) throws(Errno) {
    let target = try unixPeer(address)
    guard target.inbox.count <= DatagramSocket.unixQueueLimit, target.arrived(bytes, from: localAddress ?? .unnamed)
    else { throw .wouldBlock }
  }
}
