// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Datagrams to and from Python.
@Suite("Datagram endpoints and Python")
struct DatagramInteroperationTests {
  @Test("Python's socket asks, and gets its datagrams back")
  func pythonAsks() throws {
    try runLoop { loop, kernel in
      let server = try await loop.openEndpoint()
      server.onDatagram = { server.transport.sendTo($0.bytes, $0.sender) }
      let python = try PythonPeer(
        loop,
        program: """
          import socket, sys
          peer = ("127.0.0.1", int(sys.argv[1]))
          s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
          s.settimeout(20)
          for size in (0, 1, 1472, 65507):
              data = bytes(i * 7 % 251 for i in range(size))
              s.sendto(data, peer)
              back, sender = s.recvfrom(65536)
              assert back == data and sender == peer, (size, sender)
          """, "\(server.address.port ?? 0)")
      try await python.finish()
      #expect(server.datagrams.map(\.bytes.count) == [0, 1, 1472, 65_507])
      server.onDatagram = nil
      try await loop.close(server)
    }
  }

  @Test("asyncio's datagram endpoint answers ours")
  func pythonAnswers() throws {
    try runLoop { loop, kernel in
      let client = try await loop.openEndpoint()
      // Its first datagram tells us its address.
      let python = try PythonPeer(
        loop,
        program: """
          import asyncio, sys
          class Echo(asyncio.DatagramProtocol):
              def connection_made(self, transport):
                  self.transport = transport
                  transport.sendto(b"hello", ("127.0.0.1", int(sys.argv[1])))
              def datagram_received(self, data, sender):
                  if data == b"quit":
                      end.set_result(None)
                  else:
                      self.transport.sendto(data, sender)
          async def main():
              global end
              loop = asyncio.get_running_loop()
              end = loop.create_future()
              await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
              await asyncio.wait_for(end, 20)
          asyncio.run(main())
          """, "\(client.address.port ?? 0)")
      try await loop.until { client.texts == ["hello"] }
      let sender = client.datagrams[0].sender
      let messages = [pattern(1), pattern(9000), pattern(65_507)]
      for (index, message) in messages.enumerated() {
        client.transport.sendTo(message, sender)
        try await loop.until { client.datagrams.count == index + 2 }
      }
      #expect(client.datagrams.dropFirst().map(\.bytes) == messages)
      #expect(client.datagrams.allSatisfy { $0.sender == sender })
      client.transport.sendTo("quit", sender)
      try await python.finish()
      try await loop.close(client)
    }
  }
}
