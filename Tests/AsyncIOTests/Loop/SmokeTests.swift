// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct SmokeTests {
  @Test func streamsEcho() throws {
    try runLoop { loop, kernel in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        for try await chunk in reader { try await writer.send(chunk) }
      }
      let port = server.port
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      try await writer.send("hello\n")
      #expect(try await reader.readLine() == Array("hello\n".utf8))
      writer.close()
      try await writer.waitClosed()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test func callbacks() throws {
    try withLoop { loop, kernel in
      var order: [Int] = []
      loop.callSoon { order.append(1) }
      loop.callLater(.milliseconds(5)) {
        order.append(2); loop.stop()
      }
      try loop.runForever()
      #expect(order == [1, 2])
    }
  }
}
