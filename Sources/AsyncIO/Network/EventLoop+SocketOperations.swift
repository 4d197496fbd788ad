// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Operations on a socket of the program's own, without a transport. Each tries first, and waits only when the kernel
/// says that it would block. The socket must be non-blocking, which those that ``Socket`` makes are. One that is closed,
/// detached or handed over while a call waits for it ends the call with ``IOError`` `ECANCELED`.
extension EventLoop {
  /// Receives what is there, once something is. asyncio's `sock_recv`.
  ///
  /// - Returns: at most `maxBytes` bytes; none at the end of the stream, or when none were asked for.
  /// - Throws: ``IOError`` for `recv`, `EINVAL` for a number of bytes that makes no sense, or with `ECANCELED` when the socket is closed, detached or handed over meanwhile;
  ///   ``EventLoopError`` `.invalidArgument` for a blocking socket, `.descriptorInUse` for a transport's;
  ///   `CancellationError`, and then nothing is lost.
  public func sockRecv(_ socket: Socket, _ maxBytes: Int) async throws -> [UInt8] {
    try await attempt("sockRecv", socket, .read) { () throws(IOError) in try socket.receive(maxBytes: maxBytes) }
  }

  /// Receives into the caller's buffer, from its start. asyncio's `sock_recv_into`.
  ///
  /// - Returns: how many bytes arrived; none at the end of the stream.
  /// - Throws: as ``sockRecv(_:_:)``.
  public func sockRecvInto(_ socket: Socket, _ buffer: inout [UInt8]) async throws -> Int {
    try checkSocket("sockRecvInto", socket)
    while true {
      do throws(IOError) {
        return try socket.receive(into: &buffer)
      } catch {
        guard error.code == .wouldBlock else { throw error }
      }
      try await waitUntilReady(socket, for: .read, "sockRecvInto")
    }
  }

  /// Sends all the bytes. asyncio's `sock_sendall`.
  ///
  /// - Throws: as ``sockRecv(_:_:)``, for `send`. How much was sent before an error or a cancellation can't be told.
  public func sockSendAll(_ socket: Socket, _ bytes: [UInt8]) async throws {
    var sent = 0
    try checkSocket("sockSendAll", socket)
    while sent < bytes.count {
      do throws(IOError) {
        sent += try socket.send(bytes.span.extracting(sent...))
      } catch {
        guard error.code == .wouldBlock else { throw error }
        try await waitUntilReady(socket, for: .write, "sockSendAll")
      }
    }
  }

  /// Connects to an address. asyncio's `sock_connect`.
  ///
  /// - Throws: ``IOError`` for `connect`, with the address; and as ``sockRecv(_:_:)``.
  public func sockConnect(_ socket: Socket, _ address: SocketAddress) async throws {
    try checkSocket("sockConnect", socket)
    try await connect(socket, to: address)
  }

  /// Accepts a connection on a listening socket. asyncio's `sock_accept`.
  ///
  /// - Returns: the connection, non-blocking and the caller's to close, and the peer's address.
  /// - Throws: ``IOError`` for `accept`; and as ``sockRecv(_:_:)``.
  public func sockAccept(_ socket: Socket) async throws -> (connection: Socket, address: SocketAddress?) {
    try await attempt("sockAccept", socket, .read) { () throws(IOError) in try socket.accept() }
  }

  /// Tries a call until the kernel does not say any more that it would block.
  func attempt<Answer>(
    _ method: StaticString, _ socket: Socket, _ interest: Interest, _ call: () throws(IOError) -> Answer
  ) async throws -> Answer {
    try checkSocket(method, socket)
    while true {
      do throws(IOError) {
        return try call()
      } catch {
        guard error.code == .wouldBlock else { throw error }
      }
      try await waitUntilReady(socket, for: interest, method)
    }
  }

  /// Rejects what would stop the loop, or disturb a transport.
  func checkSocket(_ method: StaticString, _ socket: Socket) throws {
    try checkOpen(method)
    guard try !socket.isKnownToBlock(asksKernel: debug) else {
      throw EventLoopError(.invalidArgument, "\(method): the socket must be non-blocking")
    }
    if socket.isHandedOver || readiness.watcher(of: socket.descriptor)?.ownsDescriptor == true {
      throw EventLoopError(
        .descriptorInUse, "\(method): descriptor \(socket.descriptor.rawValue) belongs to a transport or server")
    }
  }
}
