// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
public import SystemPackage

/// The family of a socket's addresses.
public struct AddressFamily: RawRepresentable, Hashable, Sendable {
  /// The platform's number, such as `AF_INET`.
  public let rawValue: Int32
  /// Wraps a number of the platform.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// Any family: what a look-up answers decides.
  public static let unspecified = AddressFamily(rawValue: AF_UNSPEC)
  /// IPv4.
  public static let ipv4 = AddressFamily(rawValue: AF_INET)
  /// IPv6.
  public static let ipv6 = AddressFamily(rawValue: AF_INET6)
  /// Sockets between processes of one machine.
  public static let unix = AddressFamily(rawValue: AF_UNIX)
}

/// What a socket carries: a stream of bytes, or datagrams.
public struct SocketKind: RawRepresentable, Hashable, Sendable {
  /// The platform's number, such as `SOCK_STREAM`.
  public let rawValue: Int32
  /// Wraps a number of the platform.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// A connected stream of bytes.
  public static let stream = SocketKind(rawValue: Int32(SOCK_STREAM.rawValue))
  /// Datagrams, each with an address.
  public static let datagram = SocketKind(rawValue: Int32(SOCK_DGRAM.rawValue))
}

/// The address of a socket, resolved: numbers or a path, never a host name.
///
/// Use ``EventLoop/createConnection(_:host:port:family:protocol:flags:localAddress:happyEyeballsDelay:interleave:tls:)`` where you have a name.
public struct SocketAddress: Hashable, Sendable {
  enum Storage: Hashable, Sendable {
    /// Address and port, in host order.
    case ipv4(UInt32, UInt16)
    /// The address's sixteen bytes as two big-endian halves, then port, scope and flow label, in host order.
    case ipv6(UInt64, UInt64, UInt16, scope: UInt32, flow: UInt32)
    /// The path's bytes. Empty: unnamed. A leading zero byte: a name in the abstract space.
    case unix([UInt8])
  }

  let storage: Storage

  init(_ storage: Storage) { self.storage = storage }

  /// An IP address written in numbers, such as `127.0.0.1`, `::1` or `fe80::1%eth0`.
  ///
  /// A zone is an interface's number, or of an address that is link-local its name.
  ///
  /// - Returns: nil when the text is no such address. A host name is none.
  public init?(ip: String, port: UInt16) {
    // The platform would take a zero byte for the text's end, and `127.0.0.1\0.example.org` for an address.
    guard !ip.utf8.contains(0) else { return nil }
    var v4 = in_addr()
    if unsafe inet_pton(AF_INET, ip, &v4) == 1 {
      self.init(.ipv4(UInt32(bigEndian: v4.s_addr), port))
      return
    }
    let parts = ip.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    var v6 = in6_addr()
    guard let address = parts.first, unsafe inet_pton(AF_INET6, String(address), &v6) == 1 else { return nil }
    let (high, low) = unsafe withUnsafeBytes(of: &v6) { bytes in
      unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }
    func scoped(_ scope: UInt32) -> SocketAddress {
      SocketAddress(.ipv6(UInt64(bigEndian: high), UInt64(bigEndian: low), port, scope: scope, flow: 0))
    }
    var scope: UInt32 = 0
    if parts.count == 2 {
      scope = parts[1].utf8.allSatisfy { (48...57).contains($0) } ? UInt32(parts[1]) ?? 0 : 0
      // Only addresses of one link have their interface named, as the resolver has it.
      if scope == 0, scoped(0).isLinkLocal { scope = unsafe if_nametoindex(String(parts[1])) }
      if scope == 0 { return nil }
    }
    self = scoped(scope)
  }

  /// The address of a socket file, or with a leading zero byte a name in Linux's abstract space.
  ///
  /// - Parameter path: a `String`, a `FilePath`, or bytes. An abstract name is a `String` or bytes.
  /// - Returns: nil when the path does not fit the platform's address (108 bytes on Linux).
  public init?(unixPath path: any SystemText) {
    let bytes = path.systemBytes
    let capacity = MemoryLayout.size(ofValue: sockaddr_un().sun_path)
    guard !bytes.isEmpty, bytes.first == 0 ? bytes.count <= capacity : bytes.count < capacity else { return nil }
    if bytes.first != 0, bytes.contains(0) { return nil }
    storage = .unix(bytes)
  }

  /// The address of a unix socket that is bound to none.
  package static let unnamed = SocketAddress(.unix([]))

  /// The family that the address belongs to.
  public var family: AddressFamily {
    switch storage {
    case .ipv4: .ipv4
    case .ipv6: .ipv6
    case .unix: .unix
    }
  }

  /// The port, of an IP address.
  public var port: UInt16? {
    switch storage {
    case .ipv4(_, let port), .ipv6(_, _, let port, _, _): port
    case .unix: nil
    }
  }

  /// The IP address in numbers, without the port; with the scope (`%2`) where it has one.
  public var host: String? {
    switch storage {
    case .ipv4(let address, _):
      return "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    case .ipv6(let high, let low, _, let scope, _):
      var bytes = (high.bigEndian, low.bigEndian)
      var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
      _ = unsafe withUnsafeBytes(of: &bytes) {
        unsafe inet_ntop(AF_INET6, $0.baseAddress, &text, socklen_t(text.count))
      }
      let address = String(cCharacters: text)
      return scope == 0 ? address : "\(address)%\(scope)"
    case .unix:
      return nil
    }
  }

  /// The file of a unix socket; nil for one without a name, or with one in the abstract space.
  public var unixPath: FilePath? {
    guard case .unix(let bytes) = storage, let first = bytes.first, first != 0 else { return nil }
    return FilePath(systemBytes: bytes)
  }

  /// The name of a unix socket as the system has it, good for every call that takes a path; nil for an IP address.
  ///
  /// A path, or a leading zero byte and a name in the abstract space, or nothing for a socket that is bound to none.
  public var unixName: [UInt8]? {
    guard case .unix(let bytes) = storage else { return nil }
    return bytes
  }

  /// The scope of an IPv6 address: the number of the network interface, 0 for none.
  public var scopeID: UInt32 {
    guard case .ipv6(_, _, _, let scope, _) = storage else { return 0 }
    return scope
  }

  /// Whether it is an IPv6 address that means something on one link alone.
  var isLinkLocal: Bool {
    guard case .ipv6(let high, _, _, _, _) = storage else { return false }
    // fe80::/10, and the multicast addresses of that scope.
    return high >> 54 == 0xFE80 >> 6 || high >> 48 & 0xFF0F == 0xFF02
  }

  /// Whether it stands for the host itself, whoever asks.
  package var isLoopback: Bool {
    switch storage {
    case .ipv4(let address, _): address >> 24 == 127
    case .ipv6(let high, let low, _, _, _): high == 0 && low == 1
    case .unix: false
    }
  }

  /// The same host with another port; a unix address as it is.
  public func withPort(_ port: UInt16) -> SocketAddress {
    switch storage {
    case .ipv4(let address, _): SocketAddress(.ipv4(address, port))
    case .ipv6(let high, let low, _, let scope, let flow):
      SocketAddress(.ipv6(high, low, port, scope: scope, flow: flow))
    case .unix: self
    }
  }
}

extension SocketAddress: CustomStringConvertible {
  /// `127.0.0.1:80`, `[::1]:80`, a path, or `@name` for the abstract space. Bytes that are
  /// no UTF-8, or that a peer has put there to be acted on by a terminal, are shown as `\xFF`.
  public var description: String {
    switch storage {
    case .ipv4(_, let port): "\(host ?? ""):\(port)"
    case .ipv6(_, _, let port, _, _): "[\(host ?? "")]:\(port)"
    case .unix(let bytes):
      if bytes.isEmpty {
        "unnamed"
      } else if bytes[0] == 0 {
        "@" + Array(bytes.dropFirst()).printable()
      } else {
        bytes.printable()
      }
    }
  }
}

extension SocketAddress {
  /// Lends the address in the form that the platform's calls take.
  func withPlatformAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var bytes = sockaddr_storage()
    let length: Int
    switch storage {
    case .ipv4(let address, let port):
      var v4 = sockaddr_in()
      v4.sin_family = sa_family_t(AF_INET)
      v4.sin_port = port.bigEndian
      v4.sin_addr.s_addr = address.bigEndian
      length = MemoryLayout<sockaddr_in>.size
      unsafe withUnsafeMutableBytes(of: &bytes) { unsafe $0.storeBytes(of: v4, as: sockaddr_in.self) }
    case .ipv6(let high, let low, let port, let scope, let flow):
      var v6 = sockaddr_in6()
      v6.sin6_family = sa_family_t(AF_INET6)
      v6.sin6_port = port.bigEndian
      v6.sin6_scope_id = scope
      v6.sin6_flowinfo = flow.bigEndian
      unsafe withUnsafeMutableBytes(of: &v6.sin6_addr) {
        unsafe $0.storeBytes(of: high.bigEndian, as: UInt64.self)
        unsafe $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      length = MemoryLayout<sockaddr_in6>.size
      unsafe withUnsafeMutableBytes(of: &bytes) { unsafe $0.storeBytes(of: v6, as: sockaddr_in6.self) }
    case .unix(let path):
      let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
      // A path counts its closing zero where there is room for it, an abstract name has none.
      let counted = path.count + (path.first == 0 || path.isEmpty ? 0 : 1)
      length = min(offset + counted, MemoryLayout<sockaddr_un>.size)
      unsafe withUnsafeMutableBytes(of: &bytes) {
        unsafe $0.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
        // The initialiser made sure that the path fits; the storage is larger than a sockaddr_un.
        unsafe UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyBytes(from: path)
      }
    }
    return unsafe withUnsafeBytes(of: &bytes) {
      // The storage type is laid out and aligned for every kind of socket address.
      unsafe body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(length))
    }
  }

  /// Reads what a call of the platform filled in; nil for a family that we do not know.
  init?(filledBy fill: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) throws(Errno) -> Void)
    throws(Errno)
  {
    var bytes = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var failure: Errno?
    unsafe withUnsafeMutableBytes(of: &bytes) { raw in
      do throws(Errno) {
        try unsafe fill(raw.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    let parsed = unsafe withUnsafeBytes(of: &bytes) { raw in
      unsafe SocketAddress(UnsafeRawBufferPointer(rebasing: raw[..<min(Int(length), raw.count)]))
    }
    guard let parsed else { return nil }
    self = parsed
  }

  /// Reads a platform address; nil for a family that we do not know, or too few bytes.
  init?(_ raw: UnsafeRawBufferPointer) {
    guard raw.count >= MemoryLayout<sa_family_t>.size else { return nil }
    switch Int32(unsafe raw.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET where raw.count >= MemoryLayout<sockaddr_in>.size:
      let v4 = unsafe raw.loadUnaligned(as: sockaddr_in.self)
      storage = .ipv4(UInt32(bigEndian: v4.sin_addr.s_addr), UInt16(bigEndian: v4.sin_port))
    case AF_INET6 where raw.count >= MemoryLayout<sockaddr_in6>.size:
      var v6 = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
      let (high, low) = unsafe withUnsafeBytes(of: &v6.sin6_addr) {
        unsafe ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      }
      storage = .ipv6(
        UInt64(bigEndian: high), UInt64(bigEndian: low), UInt16(bigEndian: v6.sin6_port), scope: v6.sin6_scope_id,
        flow: UInt32(bigEndian: v6.sin6_flowinfo))
    case AF_UNIX:
      let offset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
      var path = unsafe raw.count > offset ? Array(raw[offset...]) : []
      if path.first != 0, let end = path.firstIndex(of: 0) { path.removeSubrange(end...) }
      storage = .unix(path)
    default:
      return nil
    }
  }
}
