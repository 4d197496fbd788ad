// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Look-ups that may block, on a few threads of their own, so that slow name servers starve nothing else.
private let lookUpThreads = ThreadPoolExecutor(maxWorkers: 4, threadNamePrefix: "resolver")

extension EventLoop {
  /// Looks up the addresses of a host and a service. asyncio's `getaddrinfo`.
  ///
  /// Addresses that are written in numbers are answered at once; names are looked up on threads of their own. A look-up
  /// cannot be interrupted: cancelling the task abandons it, and nothing waits for it, not even the process's end.
  ///
  /// - Parameters:
  ///   - host: a name or an address; nil or empty stands for this machine, or with `.passive` for all its interfaces.
  ///   - service: a port, or the name of a service; nil or empty leaves the port 0.
  ///   - family: restricts the addresses to one family.
  ///   - type: the kind of socket; nil asks for every kind.
  ///   - protocol: the transport protocol's number; 0 for any.
  ///   - flags: see ``AddressInfoFlags``.
  /// - Returns: at least one answer, in the resolver's order of preference.
  /// - Throws: ``ResolutionError``; `CancellationError`.
  public func getaddrinfo(
    host: String?, service: String? = nil, family: AddressFamily = .unspecified, type: SocketKind? = nil,
    protocol: Int32 = 0, flags: AddressInfoFlags = []
  ) async throws -> [AddressInfo] {
    try checkOpen("getaddrinfo")
    func named(_ text: String?) -> String? { text?.isEmpty == true ? nil : text }
    return try await lookUp(
      AddressQuery(
        host: named(host), service: named(service), family: family, kind: type ?? SocketKind(rawValue: 0),
        transportProtocol: `protocol`, flags: flags))
  }

  /// Looks up the addresses of a host, for a port. asyncio's `getaddrinfo`.
  ///
  /// - Throws: as ``getaddrinfo(host:service:family:type:protocol:flags:)``.
  public func getaddrinfo(
    host: String?, port: Int, family: AddressFamily = .unspecified, type: SocketKind? = nil, protocol: Int32 = 0,
    flags: AddressInfoFlags = []
  ) async throws -> [AddressInfo] {
    try await getaddrinfo(
      host: host, service: String(port), family: family, type: type, protocol: `protocol`, flags: flags)
  }

  /// Looks up the names of an address. asyncio's `getnameinfo`.
  ///
  /// - Throws: ``ResolutionError``; `CancellationError`.
  public func getnameinfo(_ address: SocketAddress, flags: NameInfoFlags = []) async throws -> NameInfo {
    let kernel = kernel
    return try await onThread(lookUpThreads, "getnameinfo") { () throws(ResolutionError) in
      try kernel.lookUpName(address, flags)
    }
  }

  /// Looks up addresses. Those that are written in numbers are answered at once.
  func lookUp(_ query: AddressQuery) async throws -> [AddressInfo] {
    try query.validate()
    if let answer = query.literalAnswer { return [answer] }
    if let query = query.numericQuery { return try kernel.lookUp(query) }
    let kernel = kernel
    return try await onThread(lookUpThreads, "getaddrinfo") { () throws(ResolutionError) in try kernel.lookUp(query) }
  }

  /// Looks up addresses of a host for a numbered port.
  func lookUp(
    host: String?, port: Int, family: AddressFamily, kind: SocketKind = .stream, transportProtocol: Int32 = 0,
    flags: AddressInfoFlags, operation: String
  ) async throws -> [AddressInfo] {
    guard UInt16(exactly: port) != nil else {
      throw IOError(.invalidArgument, operation, "\(host ?? "*"):\(port) (a port is between 0 and 65535)")
    }
    return try await getaddrinfo(
      host: host, port: port, family: family, type: kind, protocol: transportProtocol, flags: flags)
  }
}
