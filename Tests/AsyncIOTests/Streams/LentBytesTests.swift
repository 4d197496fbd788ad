// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// Bytes that a reader lends.
@Suite struct LentBytesTests {
  @Test("what a closure takes is gone, and the rest is lent again with what comes behind it")
  func partsAreTaken() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      var seen: [[UInt8]] = []
      func lend(atLeast count: Int = 1, taking taken: Int) async throws -> Bool {
        try await reader.withBytes(atLeast: count) { lent in
          seen.append([UInt8](copying: lent))
          return taken
        }
      }
      reader.feedData(octets("abc"))
      #expect(try await lend(taking: 0))
      #expect(try await lend(taking: 2))
      let waiting = try await loop.startWaiting { try await lend(atLeast: 3, taking: 3) }
      reader.feedData(octets("d"))
      try await loop.sleep(for: .zero)
      #expect(seen.count == 2, "two bytes are fewer than three")
      reader.feedData(octets("e"))
      #expect(try await waiting.value)
      #expect(seen == [octets("abc"), octets("abc"), octets("cde")])
      #expect(reader.unreadCount == 0)
    }
  }

  @Test("at the end too few bytes are an error, and none are none")
  func atTheEnd() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("ab"))
      reader.feedEOF()
      var calls = 0
      func lend(_ count: Int) async throws -> Bool {
        try await reader.withBytes(atLeast: count) { _ in
          calls += 1
          return 1
        }
      }
      #expect(try await lend(2))
      let error = await #expect(throws: IncompleteReadError.self) { try await lend(2) }
      #expect(error?.partial == octets("b") && error?.expected == 2)
      #expect(try await !lend(2))
      #expect(calls == 1)
      #expect(reader.atEOF)
    }
  }

  @Test("a closure that throws has taken nothing")
  func throwing() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("ab"))
      await #expect(throws: TestFailure.self) { try await reader.withBytes { _ in throw TestFailure() } }
      #expect(try await reader.read(10) == octets("ab"))
    }
  }

  @Test("what a closure feeds the reader comes behind what it was lent")
  func feedsItsReader() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("ab"))
      try await reader.withBytes { lent in
        reader.feedData(octets("cd"))
        #expect([UInt8](copying: lent) == octets("ab"))
        return 2
      }
      #expect(try await reader.read(10) == octets("cd"))
    }
  }

  @Test("taking lent bytes lets a peer go on that was held back")
  func resumesTheTransport() throws {
    try runLoop { loop, kernel in
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel)
      let transport = try #require(writer.transport as? StreamTransport)
      try await loop.sockSendAll(peer, [UInt8](repeating: 1, count: 3 * StreamReader.defaultLimit))
      try await loop.until { !transport.isReading }
      // By the taking itself: the next wait would do it as well.
      try await reader.withBytes { lent in lent.count - StreamReader.defaultLimit - 1 }
      #expect(!transport.isReading)
      try await reader.withBytes { lent in lent.count }
      #expect(transport.isReading)
      writer.close()
      try await writer.waitClosed()
      peer.close()
    }
  }
}

private struct TestFailure: Error {}
