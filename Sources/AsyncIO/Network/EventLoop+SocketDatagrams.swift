// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Receives a datagram, once there is one. asyncio's `sock_recvfrom`.
  ///
  /// - Returns: its first `maxBytes` bytes, the rest is lost; and its sender.
  /// - Throws: as ``sockRecv(_:_:)``.
  public func sockRecvFrom(
    _ socket: Socket, _ maxBytes: Int
  ) async throws -> (data: [UInt8], sender: SocketAddress) {
    try await receiveDatagram("sockRecvFrom", socket, maxBytes)
  }

  private func receiveDatagram(
    _ method: StaticString, _ socket: Socket, _ maxBytes: Int
  ) async throws -> (data: [UInt8], sender: SocketAddress) {
    try await attempt(method, socket, .read) { () throws(IOError) in
      var bytes = try socket.memory(maxBytes, "recvfrom")
      let (count, sender) = try socket.receiveDatagram(into: &bytes)
      bytes.removeSubrange(count...)
      return (bytes, sender)
    }
  }

  /// Receives a datagram into the caller's buffer, from its start. asyncio's `sock_recvfrom_into`.
  ///
  /// - Parameters:
  ///   - socket: a socket of datagrams.
  ///   - buffer: where the datagram goes; what does not fit is lost.
  ///   - maxBytes: how much of the buffer to use; nil for all of it.
  /// - Returns: how many bytes arrived, and the sender.
  /// - Throws: as ``sockRecv(_:_:)``.
  public func sockRecvFromInto(
    _ socket: Socket, _ buffer: inout [UInt8], maxBytes: Int? = nil
  ) async throws -> (count: Int, sender: SocketAddress) {
    guard maxBytes.map({ (0...buffer.count).contains($0) }) ?? true else {
      throw EventLoopError(.invalidArgument, "sockRecvFromInto: the buffer holds \(buffer.count) bytes")
    }
    let limit = maxBytes ?? buffer.count
    let (data, sender) = try await receiveDatagram("sockRecvFromInto", socket, limit)
    buffer.replaceSubrange(..<data.count, with: data)
    return (data.count, sender)
  }

  /// Sends a datagram, once the kernel takes it. asyncio's `sock_sendto`.
  ///
  /// - Throws: as ``sockRecv(_:_:)``, for `sendto` with the address.
  public func sockSendTo(_ socket: Socket, _ data: [UInt8], _ address: SocketAddress) async throws {
    try await attempt("sockSendTo", socket, .write) { () throws(IOError) in
      try socket.send(datagram: data, to: address)
    }
  }
}
