// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// The protocols of a server's connections, in the order in which they were made.
final class Accepted {
  var recorders: [Recorder] = []
  /// What each recorder is given to begin with.
  var prepare: ((Recorder) throws -> Void)?

  var texts: [String] { recorders.map(\.text) }
}

/// A server on a port of its own whose connections write down what they are told.
func recordingServer(
  _ loop: EventLoop, host: String = "127.0.0.1", backlog: Int = 100, startServing: Bool = true
) async throws -> (Server, Accepted) {
  let accepted = Accepted()
  let server = try await loop.createServer(
    {
      let recorder = Recorder()
      accepted.recorders.append(recorder)
      try accepted.prepare?(recorder)
      return recorder
    }, host: host, port: 0, backlog: backlog, startServing: startServing)
  return (server, accepted)
}

/// A server with one connection.
func connected(
  _ loop: EventLoop, _ kernel: TestKernel
) async throws -> (server: Server, accepted: Accepted, peer: Peer) {
  let (server, accepted) = try await recordingServer(loop)
  let peer = try await Peer.connect(to: try #require(server.address), loop, kernel)
  try await loop.until { accepted.recorders.first?.kept != nil }
  return (server, accepted, peer)
}

extension Server {
  /// The address of its first socket.
  var address: SocketAddress? { sockets.first?.localAddress }
}

/// A socket that is bound and does not listen: as long as it is held, connections to its port are refused.
func deafSocket(_ kernel: TestKernel, _ host: String = "127.0.0.1") throws -> (Socket, port: Int) {
  let address = try #require(SocketAddress(ip: host, port: 0))
  let socket = kernel.adopt(try kernel.real.makeSocket(address.family, .stream, 0))
  try kernel.real.bind(socket.descriptor, to: address)
  return (socket, Int(try #require(try kernel.real.localAddress(socket.descriptor).port)))
}

/// What a look-up would answer.
func addresses(_ hosts: [String], _ port: Int) -> [AddressInfo] {
  hosts.compactMap { SocketAddress(ip: $0, port: UInt16(port)) }.map {
    AddressInfo(family: $0.family, kind: .stream, transportProtocol: 0, address: $0)
  }
}
