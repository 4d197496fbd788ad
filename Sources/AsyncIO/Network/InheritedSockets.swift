// SPDX-License-Identifier: Apache-2.0
import SystemPackage

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

extension EventLoop {
  /// Takes the sockets that the process was started with: by systemd, by another manager that speaks its protocol, or by
  /// ``startSuccessor(_:_:passing:timeout:options:)``.
  ///
  /// They are those of the environment's `LISTEN_FDS`, from descriptor 3 on, if `LISTEN_PID` names this process; else there
  /// are none. They can be taken once in a process, since a socket has one owner. They are made close-on-exec, and nothing
  /// about them reaches the environment of our children; the process's own is not changed, which would not be safe while
  /// other threads read it.
  ///
  /// Any thread's loop may take them; the sockets belong to that thread then.
  ///
  /// - Returns: the sockets; none where none were passed.
  /// - Throws: ``EventLoopError`` `.invalidEnvironment` for variables that make no sense, and for a descriptor that is closed
  ///   or no socket, and then nothing is taken; `.invalidState` when they were taken already; `.closed`.
  public func takeInheritedSockets() throws -> InheritedSockets {
    try checkOpen("takeInheritedSockets")
    let passed = try kernel.passedSockets()
    if passed.isEmpty { return InheritedSockets([]) }
    guard kernel.claim(.sockets) else {
      throw EventLoopError(.invalidState, "takeInheritedSockets: the sockets were taken already")
    }
    return InheritedSockets(
      passed.map { InheritedSocket(name: $0.name, socket: Socket(adopting: $0.descriptor, kernel: kernel)) })
  }
}

extension Kernel {
  /// What the environment says of passed sockets, each of which is one, and close-on-exec.
  fileprivate func passedSockets() throws -> [(name: String, descriptor: FileDescriptor)] {
    guard try isAddressed, let count: Int32 = try number(StartVariables.count, "number of sockets") else { return [] }
    let names = try names(of: count)
    var passed: [(name: String, descriptor: FileDescriptor)] = []
    for index in 0..<count {
      let (number, isTooLarge) = firstPassedDescriptor.addingReportingOverflow(index)
      let descriptor = FileDescriptor(rawValue: number)
      guard !isTooLarge, let kind = try? fileKind(descriptor) else { throw misfit(number, count, "is not open") }
      guard kind == .socket else { throw misfit(number, count, "is no socket") }
      try setCloseOnExec(descriptor)
      passed.append((names?[Int(index)] ?? StartVariables.unknownName, descriptor))
    }
    return passed
  }

  private func misfit(_ number: Int32, _ count: Int32, _ what: String) -> EventLoopError {
    EventLoopError(
      .invalidEnvironment, "descriptor \(number) \(what), but \(StartVariables.count)=\(count) counts it as a socket")
  }

  /// The names, as many as there are sockets; nil for none.
  private func names(of count: Int32) throws(EventLoopError) -> [String]? {
    guard let text = environmentVariable(StartVariables.names) else { return nil }
    let names = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    // No text at all is the name of one socket, or of none.
    guard names.count == count || count == 0 && text.isEmpty else {
      throw EventLoopError(
        .invalidEnvironment,
        "\(StartVariables.names) is \"\(text.readable)\", and \(StartVariables.count) \(count): a name each is needed")
    }
    return names.map { String(decoding: $0, as: UTF8.self) }
  }
}
