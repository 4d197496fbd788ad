// SPDX-License-Identifier: Apache-2.0
import CAsyncIO

/// An option of a socket, with the type of its value.
public struct SocketOption<Value: SocketOptionValue>: Sendable {
  /// The platform's number of the protocol level, such as `SOL_SOCKET`.
  public let level: Int32
  /// The platform's number of the option, such as `SO_REUSEADDR`.
  public let name: Int32

  /// An option by its platform numbers.
  public init(level: Int32, name: Int32) {
    self.level = level
    self.name = name
  }
}

/// A type that a socket option's value can have: `Bool` or `Int32`.
public protocol SocketOptionValue: Sendable {
  /// The value from the platform's number.
  init(socketOption: Int32)
  /// The platform's number for the value.
  var socketOption: Int32 { get }
}

extension Bool: SocketOptionValue {
  /// Any number but zero is true.
  public init(socketOption: Int32) { self = socketOption != 0 }
  /// One or zero.
  public var socketOption: Int32 { self ? 1 : 0 }
}

extension Int32: SocketOptionValue {
  /// The number itself.
  public init(socketOption: Int32) { self = socketOption }
  /// The number itself.
  public var socketOption: Int32 { self }
}

extension SocketOption where Value == Bool {
  /// Bind although a connection of the port's former owner still times out. `SO_REUSEADDR`.
  public static var reuseAddress: Self { Self(level: SOL_SOCKET, name: SO_REUSEADDR) }
  /// Let several sockets share a port, and the kernel spread connections over them. `SO_REUSEPORT`.
  public static var reusePort: Self { Self(level: SOL_SOCKET, name: SO_REUSEPORT) }
  /// Probe silent peers. `SO_KEEPALIVE`.
  public static var keepAlive: Self { Self(level: SOL_SOCKET, name: SO_KEEPALIVE) }
  /// Allow datagrams to broadcast addresses. `SO_BROADCAST`.
  public static var broadcast: Self { Self(level: SOL_SOCKET, name: SO_BROADCAST) }
  /// Send small segments at once rather than joining them. `TCP_NODELAY`.
  public static var noDelay: Self { Self(level: Int32(IPPROTO_TCP), name: TCP_NODELAY) }
  /// Keep an IPv6 socket to IPv6. `IPV6_V6ONLY`.
  public static var ipv6Only: Self { Self(level: Int32(IPPROTO_IPV6), name: IPV6_V6ONLY) }
  /// Whether the socket listens; read-only. `SO_ACCEPTCONN`.
  public static var acceptsConnections: Self { Self(level: SOL_SOCKET, name: SO_ACCEPTCONN) }
}

extension SocketOption where Value == Int32 {
  /// The size of the kernel's send buffer in bytes; Linux doubles what is set. `SO_SNDBUF`.
  public static var sendBufferSize: Self { Self(level: SOL_SOCKET, name: SO_SNDBUF) }
  /// The size of the kernel's receive buffer in bytes; Linux doubles what is set. `SO_RCVBUF`.
  public static var receiveBufferSize: Self { Self(level: SOL_SOCKET, name: SO_RCVBUF) }
  /// The pending error, which reading clears; 0 for none. `SO_ERROR`.
  public static var pendingError: Self { Self(level: SOL_SOCKET, name: SO_ERROR) }
  /// The kind of socket, as a platform number; read-only. `SO_TYPE`.
  static var kind: Self { Self(level: SOL_SOCKET, name: SO_TYPE) }
}
