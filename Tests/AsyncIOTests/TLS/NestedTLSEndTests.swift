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
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let (client, server) = (Recorder(), Recorder())
      _ = try await loop.createConnection({ client }, socket: near)
      _ = try await loop.createConnection({ server }, socket: far)
      for _ in 0..<2 {
        let tls = try serverTLS()
        let serving = loop.createTask {
          _ = try await loop.startTLS(server.transport, server, .server(tls))
        }
        _ = try await loop.startTLS(
          client.transport, client, .client(clientTLS(), serverHostname: "localhost", shutdownTimeout: .seconds(5)))
        try await serving.value
      }
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
        #expect(lingerZero(far.descriptor.rawValue) == 0)
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
}
