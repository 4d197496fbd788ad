// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Look-ups that may block, on threads of their own, so that slow name servers starve nothing else. There are many of
/// them, and those whose look-up was cancelled are replaced: a name server that does not answer keeps a thread for tens
/// of seconds, and a name that the machine knows itself must not wait for that.
private let lookUpThreads = ThreadPoolExecutor(WorkerThreads.Options(limit: 64, spares: 192, name: "resolver"))

extension EventLoop {
  /// Looks up the addresses of a host and a service. asyncio's `getaddrinfo`.
  ///
  /// Addresses that are written in numbers are answered at once; names are looked up on threads of their own. A look-up
  /// cannot be interrupted: cancelling the task abandons it, and nothing waits for it, not even the process's end. It
  /// begins at once unless 64 others of the process are under way; those that were cancelled do not count, as long as no
  /// more than 192 of them hang in the resolver. One that is cancelled before it has begun is not begun any more.
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
    host: String?, port: any ServicePort, family: AddressFamily = .unspecified, type: SocketKind? = nil,
    protocol: Int32 = 0,
    flags: AddressInfoFlags = []
  ) async throws -> [AddressInfo] {
    try await getaddrinfo(
      host: host, service: port.servicePort, family: family, type: type, protocol: `protocol`, flags: flags)
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

  /// Looks up addresses of a host for a port.
  func lookUp(
    host: String?, port: any ServicePort, family: AddressFamily, kind: SocketKind = .stream,
    transportProtocol: Int32 = 0,
    flags: AddressInfoFlags, operation: String
  ) async throws -> [AddressInfo] {
    if let number = Int(port.servicePort), UInt16(exactly: number) == nil {
      let subject = AddressQuery(host: host, service: port.servicePort).subject
      throw IOError(.invalidArgument, operation, "\(subject) (a port is between 0 and 65535)")
    }
    return try await getaddrinfo(
      host: host, port: port, family: family, type: kind, protocol: transportProtocol, flags: flags)
  }
}
