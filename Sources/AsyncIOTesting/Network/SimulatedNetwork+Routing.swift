// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

extension SimulatedNetwork {
  /// The way from a host to an address.
  func path(from host: SimulatedHost, to address: SocketAddress) throws(Errno) -> Path {
    if address.isLoopback || address.isWildcard || host.has(address) { return path(from: host, to: host) }
    guard host.address(of: address.family) != nil else { throw .networkUnreachable }
    guard let target = self.host(at: address) else { return Path(world, host, nil, conditions) }
    return path(from: host, to: target)
  }

  /// The ways to all other hosts.
  func broadcastPaths(from host: SimulatedHost) -> [Path] {
    hosts.filter { $0 !== host && $0.address(of: .ipv4) != nil }.map { path(from: host, to: $0) }
  }
}
