// SPDX-License-Identifier: Apache-2.0
// Sends a datagram, and waits for one that comes back: udp-echo-client [PORT].
import AsyncIO

final class EchoClientProtocol: DatagramProtocol {
  private let message: String
  private var transport: DatagramTransport?
  let isOver: Future<Void>

  init(_ loop: EventLoop, sending message: String) {
    self.message = message
    isOver = Future(loop)
  }

  func connectionMade(_ transport: DatagramTransport) {
    self.transport = transport
    print("sending: \(message)")
    transport.sendTo(message)
  }

  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {
    print("\(data.count) bytes came back")
    transport?.close()
  }

  func errorReceived(_ error: any Error) {
    print("error: \(error)")
    transport?.close()
  }

  func connectionLost(_ error: (any Error)?) throws { try isOver.setResult(()) }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9999

EventLoop.main { loop in
  let (_, client) = try await loop.createDatagramEndpoint(
    { EchoClientProtocol(loop, sending: "Hello World!") }, remoteAddress: ("127.0.0.1", port))
  try await client.isOver.value
}
