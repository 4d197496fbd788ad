// SPDX-License-Identifier: Apache-2.0
import Glibc

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

  package var subject: String { "\(host ?? "*"):\(service ?? "0")" }

  /// The answer where no look-up is needed: an address in numbers, with a port in numbers.
  package var literalAnswer: AddressInfo? {
    guard let host, let port = UInt16(service ?? "0"), let address = SocketAddress(ip: host, port: port),
      family == .unspecified || family == address.family
    else { return nil }
    let implied = kind == .stream ? Int32(IPPROTO_TCP) : kind == .datagram ? Int32(IPPROTO_UDP) : 0
    guard transportProtocol == 0 || transportProtocol == implied || implied == 0 else { return nil }
    return AddressInfo(
      family: address.family, kind: kind, transportProtocol: transportProtocol == 0 ? implied : transportProtocol,
      address: address)
  }

  /// Asks the platform's resolver, however long that takes.
  func ask() throws(ResolutionError) -> [AddressInfo] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = family.rawValue
    unsafe hints.ai_socktype = kind.rawValue
    unsafe hints.ai_protocol = transportProtocol
    unsafe hints.ai_flags = flags.rawValue
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(host, service, &hints, &list)
    guard code == 0 else {
      let message =
        code == EAI_SYSTEM ? unsafe String(cString: strerror(errno)) : unsafe String(cString: gai_strerror(code))
      throw ResolutionError(code: code, message: message, subject: subject)
    }
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
      throw ResolutionError(code: EAI_NONAME, message: "the look-up returned no address", subject: subject)
    }
    return answers
  }
}
