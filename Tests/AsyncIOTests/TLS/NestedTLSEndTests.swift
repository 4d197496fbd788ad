// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import SystemPackage
import Testing

@testable import AsyncIO

/// The unfriendly ends of connections over TLS inside TLS, where an error has two layers to pass.
@Suite("TLS inside TLS: ends") struct NestedTLSEndTests {
  enum End: CaseIterable {
    case abort, abortWithError, silentPeer, reset, protocolThrows
  }

  @Test("connectionLost is told why, once, by whichever way the connection ends", arguments: End.allCases)
  func ends(_ end: End) throws {
    try runLoop { loop, kernel in
      kernel.stopClock()
      let errors = loop.collectErrors()
      let (client, server) = try await plainPair(loop, kernel)
      for _ in 0..<2 { try await secure(loop, client, server, shutdownTimeout: .seconds(5)) }
      client.transport.write("hello")
      try await loop.until { server.text == "hello" }
      let failure = TestError(number: 12)
      switch end {
      case .abort: client.transport.abort()
      case .abortWithError: client.transport.abort(failure)
      case .silentPeer:
        server.transport.pauseReading()
        client.transport.close()
        try await loop.expect(after: .seconds(5), on: kernel) { client.isLost }
      case .reset:
        #expect(lingerZero(server.transport.socket.descriptor.rawValue) == 0)
        server.transport.abort()
      case .protocolThrows:
        client.onData = { _ in throw failure }
        server.transport.write("answer")
      }
      try await loop.until { client.isLost }
      server.transport.abort()
      try await loop.until { server.isLost }
      let loss = try #require(client.loss)
      switch end {
      case .abort: #expect(loss == nil)
      case .abortWithError, .protocolThrows: #expect(loss as? TestError == failure)
      case .silentPeer: #expect((loss as? IOError)?.code == .timedOut)
      case .reset: #expect((loss as? IOError)?.code == .connectionReset)
      }
      #expect(client.calls.filter { $0 != .data }.count == 2, "made and lost: \(client.calls)")
      #expect(errors.contexts.count == (end == .protocolThrows ? 1 : 0))
      client.forgetHooks()
    }
  }

  @Test("What the kernel has not taken counts as buffered, also once another TLS connection begins inside of the first")
  func blockedBelow() throws {
    try runLoop { loop, kernel in
      let (client, server) = try await plainPair(loop, kernel)
      try await secure(loop, client, server)
      let transport = client.transport
      transport.setWriteBufferLimits(high: 1_000_000)
      kernel.inject(.wouldBlock, into: .send, times: .max)
      kernel.inject(.wouldBlock, into: .sendGathering, times: .max)
      transport.write(pattern(100_000))
      transport.write("and more")
      #expect(transport.writeBufferSize == 100_008)
      let inner = Recorder()
      let securing = loop.createTask(eager: true) {
        _ = try await loop.startTLS(transport, inner, .client(clientTLS(), serverHostname: "localhost"))
      }
      #expect(transport.tls?.wire.pending.isEmpty == false && transport.writeBufferSize == 100_008)
      kernel.clearInjections()
      // The other end knows nothing of the inner connection, whose first flight comes behind it.
      try await loop.until { server.received.count > 100_008 && transport.writeBufferSize == 0 }
      #expect(server.received.starts(with: pattern(100_000) + octets("and more")))
      transport.abort()
      _ = await thrown { try await securing.value }
      try await loop.until { inner.isLost && server.isLost }
    }
  }
}
