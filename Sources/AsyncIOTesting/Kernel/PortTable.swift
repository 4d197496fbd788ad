// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Which socket of a host is bound to which address.
struct PortTable {
  struct Key: Hashable {
    let isDatagram: Bool
    let family: AddressFamily
    let port: UInt16
  }

  struct Entry {
    let address: SocketAddress
    let socket: SimulatedSocket
  }

  private var entries: [Key: [Entry]] = [:]
  private var nextEphemeral: UInt16 = 32768

  /// Whether somebody has the address whom the socket must not share it with.
  func isTaken(_ address: SocketAddress, _ key: Key, by socket: SimulatedSocket) -> Bool {
    (entries[key] ?? []).contains { entry in
      guard entry.socket !== socket else { return false }
      let overlaps = entry.address == address || entry.address.isWildcard || address.isWildcard
      return overlaps && !(entry.socket.sharesPort && socket.sharesPort)
    }
  }

  mutating func add(_ address: SocketAddress, _ key: Key, _ socket: SimulatedSocket) {
    entries[key, default: []].append(Entry(address: address, socket: socket))
  }

  mutating func remove(_ key: Key, _ socket: SimulatedSocket) {
    entries[key]?.removeAll { $0.socket === socket }
    if entries[key]?.isEmpty == true { entries[key] = nil }
  }

  /// The sockets that get what comes to the address: those that are bound to just that if there are any.
  func sockets(at address: SocketAddress, _ key: Key) -> [SimulatedSocket] {
    let bound = entries[key] ?? []
    let exact = bound.filter { $0.address == address }
    return (exact.isEmpty ? bound.filter(\.address.isWildcard) : exact).map(\.socket)
  }

  /// A port that nobody has; nil when there is none.
  mutating func freePort(_ family: AddressFamily, isDatagram: Bool) -> UInt16? {
    for _ in 0..<28_232 {
      let port = nextEphemeral
      nextEphemeral = port == 60_999 ? 32768 : port + 1
      if entries[Key(isDatagram: isDatagram, family: family, port: port)] == nil { return port }
    }
    return nil
  }
}

extension SocketAddress {
  private static let wildcards: Set<SocketAddress> = Set(
    ["0.0.0.0", "::"].compactMap { SocketAddress(ip: $0, port: 0) })

  /// Whether it stands for every address of its host.
  var isWildcard: Bool { SocketAddress.wildcards.contains(withPort(0)) }
}
