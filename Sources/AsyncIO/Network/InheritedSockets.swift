// SPDX-License-Identifier: Apache-2.0

/// A socket that the process was started with.
///
/// It belongs to the thread of the loop that has taken it.
public struct InheritedSocket {
  /// What whoever passed it calls it: systemd's `FileDescriptorName=`, which is by default the name of the socket unit, or
  /// the name that a predecessor gave. `unknown` where it has none. Several may have the same.
  public let name: String
  /// The socket, which is the program's own: it is closed when it is dropped.
  public let socket: Socket

  /// Whether it listens for connections.
  public var isListening: Bool { (try? socket.option(.acceptsConnections)) == true }
}

/// The sockets that the process was started with, in the order in which they were passed. What `sd_listen_fds` of
/// systemd's library finds; asyncio has no counterpart.
///
/// ```swift
/// let inherited = try loop.takeInheritedSockets()
/// let server = inherited.isEmpty
///   ? try await loop.startServer(host: "127.0.0.1", port: 8080, serve)
///   : try await loop.startServer(sockets: inherited.sockets, serve)
/// ```
public struct InheritedSockets: RandomAccessCollection {
  private let elements: [InheritedSocket]

  init(_ elements: [InheritedSocket]) { self.elements = elements }

  /// Zero.
  public var startIndex: Int { 0 }
  /// How many there are.
  public var endIndex: Int { elements.count }
  /// A socket by its position.
  public subscript(position: Int) -> InheritedSocket { elements[position] }

  /// All sockets, in their order.
  public var sockets: [Socket] { elements.map(\.socket) }

  /// The sockets of a name, in their order; none when there is no such name.
  public func sockets(named name: String) -> [Socket] { elements.filter { $0.name == name }.map(\.socket) }
}
