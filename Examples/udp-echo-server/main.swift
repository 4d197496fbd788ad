// SPDX-License-Identifier: Apache-2.0
import AsyncIO

final class EchoServerProtocol: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }

  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {
    print("received \(data.count) bytes from \(sender), sending them back")
    transport?.sendTo(data, sender)
  }
}

EventLoop.main { loop in
  let (transport, _) = try await loop.createDatagramEndpoint(
    EchoServerProtocol.init, localAddress: ("127.0.0.1", 9999))
  defer { transport.close() }
  print("serving for an hour")
  try await loop.sleep(for: .seconds(3600))
}
