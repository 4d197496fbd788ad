// SPDX-License-Identifier: Apache-2.0

// What transports are called in logs, where "error in a protocol's dataReceived" is of use only with whose.

extension StreamTransport: CustomStringConvertible {
  /// Names the peer, such as `connection with 127.0.0.1:80`.
  public var description: String { "connection with \(peerName)" }
}

extension DatagramTransport: CustomStringConvertible {
  /// Names the peer, or its own address where it is open to all, such as `datagram endpoint 127.0.0.1:53`.
  public var description: String { "datagram endpoint \(name)" }
}

extension ReadPipeTransport: CustomStringConvertible {
  /// Names the descriptor, such as `reading pipe 0`.
  public var description: String { "reading \(pipe.name)" }
}

extension WritePipeTransport: CustomStringConvertible {
  /// Names the descriptor, such as `writing pipe 1`.
  public var description: String { "writing \(pipe.name)" }
}
