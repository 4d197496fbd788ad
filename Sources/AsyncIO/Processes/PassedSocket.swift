// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// A socket for a child, with a name by which that one finds it.
public struct PassedSocket: Hashable, Sendable {
  /// The descriptor, which stays the program's, and has to be open until the child is started.
  public var descriptor: FileDescriptor
  /// Up to 255 printable characters of ASCII, without a colon. Several sockets may have the same.
  public var name: String

  /// Passes a descriptor on, which has to be a socket's.
  public init(_ descriptor: FileDescriptor, name: String) {
    self.descriptor = descriptor
    self.name = name
  }

  /// Passes a socket on, such as that of a datagram endpoint: `endpoint.getExtraInfo(.socket)`.
  public init(_ socket: Socket, name: String) { self.init(socket.descriptor, name: name) }
}

extension Server {
  /// The server's sockets for a child, all under one name; none once it is closed.
  public func passedSockets(named name: String) -> [PassedSocket] { sockets.map { PassedSocket($0, name: name) } }
}

extension ChildRequest {
  /// Adds the sockets of the options, and what tells the child of them.
  ///
  /// - Throws: `.invalidArgument` for a name that the child could not read, or a number that is another descriptor's.
  mutating func pass(_ options: SubprocessOptions) throws(EventLoopError) {
    var variables = options.processIDVariables
    if !options.sockets.isEmpty { variables.insert(StartVariables.processID) }
    guard !variables.isEmpty else { return }
    for (index, socket) in options.sockets.enumerated() {
      let number = ChildRequest.firstSocket + Int32(index)
      if options.descriptors[number] != nil {
        throw EventLoopError(.invalidArgument, "descriptor \(number) of a child is both one of its sockets and another")
      }
      try socket.checkName()
      descriptors.append((number, socket.descriptor))
    }
    var told = options.environment ?? .current
    told.removeAddressed()
    told[StartVariables.readiness] = options.readiness.map(String.init)
    for name in variables { told[name] = nil }
    if !options.sockets.isEmpty {
      told[StartVariables.count] = "\(options.sockets.count)"
      told[StartVariables.names] = options.sockets.map(\.name).joined(separator: ":")
    }
    environment = try told.entries()
    processIDVariables = variables.sorted()
  }

  /// The number of a child's first socket.
  static let firstSocket: Int32 = 3
}

extension PassedSocket {
  /// Rejects what the protocol cannot carry.
  fileprivate func checkName() throws(EventLoopError) {
    let colon = UInt8(ascii: ":")
    guard name.utf8.count <= 255, name.utf8.allSatisfy({ (32...126).contains($0) && $0 != colon }) else {
      throw EventLoopError(.invalidArgument, "\"\(name.printable())\" is no name for a socket that is passed on")
    }
  }
}
