// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let datagramSteps = [
  Step("a datagram there and back", datagramEcho),
  Step("a port that refuses datagrams", refusedDatagram),
]

/// Sends each datagram back to where it came from.
final class DatagramEchoProtocol: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) { transport?.sendTo(data, sender) }
}

/// Sends a text, and keeps the first answer: a datagram or an error.
final class AskingProtocol: DatagramProtocol {
  private let text: String
  let answer: Future<(size: Int, sender: SocketAddress)>

  init(_ loop: EventLoop, asking text: String) {
    self.text = text
    answer = Future(loop)
  }

  func connectionMade(_ transport: DatagramTransport) { transport.sendTo(text) }

  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) throws {
    try answer.setResult((data.count, sender))
  }

  func errorReceived(_ error: any Error) throws { try answer.setError(error) }
}

@Sendable func datagramEcho(_ loop: EventLoop) async throws -> String {
  let (server, _) = try await loop.createDatagramEndpoint(DatagramEchoProtocol.init, localAddress: ("127.0.0.1", 0))
  defer { server.close() }
  let port = server.localAddress?.port ?? 0
  let (transport, client) = try await loop.createDatagramEndpoint(
    { AskingProtocol(loop, asking: "hello, datagram") }, remoteAddress: ("127.0.0.1", Int(port)))
  defer { transport.close() }
  let (size, sender) = try await client.answer.value
  try expect("the size of the answer", size, is: 15)
  try expect("its sender", sender, is: server.localAddress ?? sender)
  return "\(size) bytes there and back over \(sender)"
}

@Sendable func refusedDatagram(_ loop: EventLoop) async throws -> String {
  // A port that was ours a moment ago: nobody receives there now.
  let socket = try Socket(.ipv4, .datagram)
  if let address = SocketAddress(ip: "127.0.0.1", port: 0) { try socket.bind(to: address) }
  let port = Int(socket.localAddress?.port ?? 0)
  socket.close()
  let (transport, client) = try await loop.createDatagramEndpoint(
    { AskingProtocol(loop, asking: "anybody?") }, remoteAddress: ("127.0.0.1", port))
  defer { transport.close() }
  do {
    _ = try await client.answer.value
  } catch let error as IOError {
    try expect("the error", error.code, is: .connectionRefused)
    try expect(!transport.isClosing, "the endpoint was closed")
    return "\(error); the endpoint stays open"
  }
  throw Failure("the datagram was answered")
}
