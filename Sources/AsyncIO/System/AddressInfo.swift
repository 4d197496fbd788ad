// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// One answer of a look-up: an address, and the kind of socket that reaches it.
public struct AddressInfo: Hashable, Sendable {
  /// The family of the address.
  public var family: AddressFamily
  /// The kind of socket.
  public var kind: SocketKind
  /// The transport protocol's number, such as `IPPROTO_TCP`.
  public var transportProtocol: Int32
  /// The host's official name, where it was asked for and for the first answer only.
  public var canonicalName: String?
  /// The address.
  public var address: SocketAddress

  /// Describes an answer.
  public init(
    family: AddressFamily, kind: SocketKind, transportProtocol: Int32, canonicalName: String? = nil,
    address: SocketAddress
  ) {
    self.family = family
    self.kind = kind
    self.transportProtocol = transportProtocol
    self.canonicalName = canonicalName
    self.address = address
  }
}

/// Flags of a look-up, as in `getaddrinfo`.
public struct AddressInfoFlags: OptionSet, Hashable, Sendable {
  /// The platform's bits.
  public let rawValue: Int32
  /// Wraps bits of the platform.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// Addresses to listen on; without a host, all interfaces.
  public static let passive = AddressInfoFlags(rawValue: Int32(AI_PASSIVE))
  /// Ask for the official name.
  public static let canonicalName = AddressInfoFlags(rawValue: Int32(AI_CANONNAME))
  /// The host is written in numbers; never ask a name server.
  public static let numericHost = AddressInfoFlags(rawValue: Int32(AI_NUMERICHOST))
  /// The service is a number.
  public static let numericService = AddressInfoFlags(rawValue: Int32(AI_NUMERICSERV))
  /// Only families that this machine has an address of.
  public static let addressConfigured = AddressInfoFlags(rawValue: Int32(AI_ADDRCONFIG))
  /// IPv4 addresses mapped into IPv6, where no IPv6 address is known.
  public static let v4Mapped = AddressInfoFlags(rawValue: Int32(AI_V4MAPPED))
}

/// What to look up.
package struct AddressQuery: Hashable, Sendable {
  package var host: String?
  package var service: String?
  package var family: AddressFamily
  package var kind: SocketKind
  package var transportProtocol: Int32
  package var flags: AddressInfoFlags

  package init(
    host: String?, service: String?, family: AddressFamily = .unspecified, kind: SocketKind = .stream,
    transportProtocol: Int32 = 0, flags: AddressInfoFlags = []
  ) {
    self.host = host
    self.service = service
    self.family = family
    self.kind = kind
    self.transportProtocol = transportProtocol
    self.flags = flags
  }

  package var subject: String { "\((host ?? "*").printable()):\((service ?? "0").printable())" }

  /// Rejects a port whose upper bits the resolver would silently cut off.
  func validate() throws(ResolutionError) {
    if let service, UInt16(service) == nil, !service.isEmpty, service.drop(while: { $0 == "-" }).allSatisfy(\.isNumber)
    {
      throw ResolutionError(code: EAI_SERVICE, message: "a port is between 0 and 65535", subject: subject)
    }
  }

  /// The answer where no look-up is needed: an address and a port in numbers, for a known kind of socket. An address with a
  /// zone is left to the resolver, unless it is link-local.
  package var literalAnswer: AddressInfo? {
    guard let host, let port = UInt16(service ?? "0"), let address = SocketAddress(ip: host, port: port),
      address.scopeID == 0 || address.isLinkLocal, family == .unspecified || family == address.family,
      kind == .stream || kind == .datagram,
      !flags.contains(.canonicalName)
    else { return nil }
    let implied = Int32(kind == .stream ? IPPROTO_TCP : IPPROTO_UDP)
    guard transportProtocol == 0 || transportProtocol == implied else { return nil }
    return AddressInfo(family: address.family, kind: kind, transportProtocol: implied, address: address)
  }

  /// The same question where the resolver can answer it without asking anybody; nil where it can't.
  package var numericQuery: AddressQuery? {
    guard let host, SocketAddress(ip: host, port: 0) != nil, UInt16(service ?? "0") != nil else { return nil }
    var query = self
    query.flags.formUnion([.numericHost, .numericService])
    return query
  }

  /// Asks the platform's resolver, however long that takes.
  func ask() throws(ResolutionError) -> [AddressInfo] {
    // The platform would take a zero byte for the name's end, and look up what stands before it.
    guard host?.utf8.contains(0) != true, service?.utf8.contains(0) != true else {
      throw ResolutionError(code: EAI_NONAME, message: "the name has a zero byte in it", subject: subject)
    }
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = family.rawValue
    unsafe hints.ai_socktype = kind.rawValue
    unsafe hints.ai_protocol = transportProtocol
    unsafe hints.ai_flags = flags.rawValue
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(host, service, &hints, &list)
    guard code == 0 else { throw ResolutionError("getaddrinfo", code, subject) }
    defer { unsafe freeaddrinfo(list) }
    var answers: [AddressInfo] = []
    var next = unsafe list
    while let entry = unsafe next?.pointee {
      unsafe next = entry.ai_next
      guard
        let address = unsafe SocketAddress(UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen)))
      else { continue }
      let canonicalName = unsafe entry.ai_canonname.map { unsafe String(cString: $0) }
      answers.append(
        unsafe AddressInfo(
          family: AddressFamily(rawValue: entry.ai_family), kind: SocketKind(rawValue: entry.ai_socktype),
          transportProtocol: entry.ai_protocol, canonicalName: canonicalName, address: address))
    }
    guard !answers.isEmpty else {
      throw ResolutionError(
        operation: "getaddrinfo", code: EAI_NONAME, message: "the look-up returned no address", subject: subject)
    }
    return answers
  }
}

/// Flags of a look-up of names, as in `getnameinfo`.
public struct NameInfoFlags: OptionSet, Hashable, Sendable {
  /// The platform's bits.
  public let rawValue: Int32
  /// Wraps bits of the platform.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// The host in numbers; never ask a name server.
  public static let numericHost = NameInfoFlags(rawValue: Int32(NI_NUMERICHOST))
  /// The service as a number.
  public static let numericService = NameInfoFlags(rawValue: Int32(NI_NUMERICSERV))
  /// Fail rather than answer in numbers when the host has no name.
  public static let nameRequired = NameInfoFlags(rawValue: Int32(NI_NAMEREQD))
  /// The service of datagrams, which may have another name.
  public static let datagram = NameInfoFlags(rawValue: Int32(NI_DGRAM))
  /// For hosts of the local domain only their own name.
  public static let noDomain = NameInfoFlags(rawValue: Int32(NI_NOFQDN))
}

/// The names of a host and a service.
public struct NameInfo: Hashable, Sendable {
  /// The host's name, or its address in numbers.
  public var host: String
  /// The service's name, or its port.
  public var service: String

  /// An answer that is known already.
  package init(host: String, service: String) {
    self.host = host
    self.service = service
  }

  /// Asks the platform's resolver, however long that takes.
  init(of address: SocketAddress, _ flags: NameInfoFlags) throws(ResolutionError) {
    // The lengths that the resolver's manual names.
    var host = [CChar](repeating: 0, count: 1025)
    var service = [CChar](repeating: 0, count: 32)
    let code = unsafe address.withPlatformAddress { (address, length) -> Int32 in
      unsafe getnameinfo(
        address, length, &host, socklen_t(host.count), &service, socklen_t(service.count), flags.rawValue)
    }
    guard code == 0 else { throw ResolutionError("getnameinfo", code, address.description) }
    self.host = String(cCharacters: host)
    self.service = String(cCharacters: service)
  }
}

extension ResolutionError {
  /// The resolver's own sentence for its code.
  fileprivate init(_ operation: String, _ code: Int32, _ subject: String) {
    let message =
      code == EAI_SYSTEM
      ? unsafe String(cString: strerror(casyncio_errno())) : unsafe String(cString: gai_strerror(code))
    self.init(operation: operation, code: code, message: message, subject: subject)
  }
}

extension String {
  /// The characters up to the closing zero.
  init(cCharacters: [CChar]) {
    self.init(decoding: cCharacters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
