// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// What sockets of all kinds have.
class SimulatedSocket: OpenFile {
  struct OptionName: Hashable {
    let level: Int32
    let name: Int32

    init(_ level: Int32, _ name: Int32) {
      self.level = level
      self.name = name
    }

    init<Value>(_ option: SocketOption<Value>) { self.init(option.level, option.name) }
  }

  final let family: AddressFamily
  final var options: [OptionName: Int32] = [:]
  /// What it is bound to.
  final var localAddress: SocketAddress?
  /// Under which key the port table has it.
  private final var portKey: PortTable.Key?

  init(_ kernel: SimulatedKernel, _ family: AddressFamily) {
    self.family = family
    super.init(kernel)
  }

  override final var kind: FileKind { .socket }
  var socketKind: SocketKind { .stream }
  var isListening: Bool { false }
  var peerAddress: SocketAddress? { nil }
  /// Takes what went wrong meanwhile.
  func takeError() -> Errno? { nil }
  /// The seconds of `SO_LINGER`; nil when it is off.
  final var linger: Int32?

  final func isSet(_ option: SocketOption<Bool>) -> Bool { options[OptionName(option)] ?? 0 != 0 }

  /// Whether others may have its port as well, if they may too.
  final var sharesPort: Bool { isSet(.reusePort) || socketKind == .datagram && isSet(.reuseAddress) }

  // MARK: Its address

  final func bind(to address: SocketAddress) throws(Errno) {
    guard localAddress == nil else { throw .invalidArgument }
    guard address.family == family else { throw .addressFamilyNotSupported }
    if family == .unix { return try bindUnix(address) }
    guard address.isWildcard || address.isLoopback || kernel.host.has(address) else { throw .addressNotAvailable }
    let isDatagram = socketKind == .datagram
    var bound = address
    if address.port == 0 {
      guard let port = kernel.ports.freePort(family, isDatagram: isDatagram) else { throw .addressInUse }
      bound = address.withPort(port)
    }
    let key = PortTable.Key(isDatagram: isDatagram, family: family, port: bound.port ?? 0)
    if kernel.ports.isTaken(bound, key, by: self) { throw .addressInUse }
    kernel.ports.add(bound, key, self)
    portKey = key
    localAddress = bound
  }

  /// Has the kernel pick an address from which the other one can be reached.
  final func bindImplicitly(toReach address: SocketAddress) throws(Errno) {
    guard localAddress == nil else { return }
    if family == .unix { return }
    let source: SocketAddress? =
      address.isLoopback || address.isWildcard
      ? SocketAddress(ip: family == .ipv4 ? "127.0.0.1" : "::1", port: 0)
      : kernel.host.has(address) ? address.withPort(0) : kernel.host.address(of: family)
    guard let source else { throw .networkUnreachable }
    do throws(Errno) { try bind(to: source) } catch { throw error == .addressInUse ? .addressNotAvailable : error }
  }

  private func bindUnix(_ address: SocketAddress) throws(Errno) {
    guard let name = address.unixName, !name.isEmpty else { throw .invalidArgument }
    if kernel.socketFiles[name] != nil { throw .addressInUse }
    kernel.socketFiles[name] = SocketFileEntry(inode: kernel.nextInode, socket: self)
    kernel.nextInode += 1
    localAddress = address
  }

  override func wasClosed() {
    if let portKey { kernel.ports.remove(portKey, self) }
    portKey = nil
    guard family == .unix, let name = localAddress?.unixName, kernel.socketFiles[name]?.socket === self else { return }
    // A file stays behind, and an abstract name does not.
    if name.first == 0 { kernel.socketFiles[name] = nil } else { kernel.socketFiles[name]?.socket = nil }
  }
}

/// The file of a unix socket, or a name in the abstract space.
struct SocketFileEntry {
  let inode: UInt64
  /// Who is bound to it; nil once that is closed.
  weak var socket: SimulatedSocket?

  init(inode: UInt64, socket: SimulatedSocket) {
    self.inode = inode
    self.socket = socket
  }
}
