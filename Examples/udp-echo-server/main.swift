// SPDX-License-Identifier: Apache-2.0
// Sends back what arrives on a port of UDP: udp-echo-server [PORT], where 0 lets the kernel pick one.
import AsyncIO
import Glibc

final class EchoServerProtocol: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }

  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) {
    print("received \(data.count) bytes from \(sender), sending them back")
    fflush(nil)
    transport?.sendTo(data, sender)
  }
}

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9999

EventLoop.main { loop in
  let (transport, _) = try await loop.createDatagramEndpoint(
    EchoServerProtocol.init, localAddress: ("127.0.0.1", port))
  defer { transport.close() }
  if let address = transport.localAddress { print("serving on \(address) for an hour") }
  fflush(nil)
  try await loop.sleep(for: .seconds(3600))
}
