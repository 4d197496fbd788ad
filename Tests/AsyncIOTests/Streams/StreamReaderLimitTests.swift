// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

/// Lines and separators at the edge of a reader's limit, fed at once and byte by byte.
@Suite struct StreamReaderLimitTests {
  private static let limit = 8

  /// Feeds the bytes at once or one by one while the body reads.
  private func read(
    _ text: String, byByte: Bool, ends: Bool = false, _ body: @escaping (StreamReader) async throws -> Void
  ) throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop, limit: StreamReaderLimitTests.limit)
      let task = loop.createTask { try await body(reader) }
      if byByte {
        for byte in octets(text) {
          try await loop.settle()
          reader.feedData([byte])
        }
      } else {
        reader.feedData(octets(text))
      }
      if ends { reader.feedEOF() }
      try await task.value
    }
  }

  @Test("exactly the limit comes before the separator", arguments: ["|", "||", "|--|"], [true, false])
  func exactlyTheLimit(separator: String, byByte: Bool) throws {
    try read("12345678" + separator + "next", byByte: byByte) { reader async throws in
      #expect(try await reader.readUntil(octets(separator)) == octets("12345678" + separator))
      #expect(try await reader.readExactly(4) == octets("next"))
    }
  }

  @Test("one more is an overrun that leaves the bytes", arguments: ["|", "||", "|--|"], [true, false])
  func oneByteTooMany(separator: String, byByte: Bool) throws {
    let text = "123456789" + separator + "next"
    try read(text, byByte: byByte) { reader async throws in
      let error = await #expect(throws: LimitOverrunError.self) { try await reader.readUntil(octets(separator)) }
      // Byte by byte, the overrun shows before the separator has come.
      #expect(error == LimitOverrunError(consumed: 9, isSeparatorFound: !byByte))
      #expect(try await reader.readExactly(text.utf8.count) == octets(text))
    }
  }

  @Test("an overrun tells whether the separator was found, and how much to read to get on")
  func overrunTellsFoundFromNotFound() throws {
    try read("1234567890||", byByte: false) { reader async throws in
      let error = await #expect(throws: LimitOverrunError.self) { try await reader.readUntil(octets("||")) }
      #expect(error == LimitOverrunError(consumed: 10, isSeparatorFound: true))
      #expect(error?.description == "the separator was found after 10 bytes, which is beyond the limit")
      #expect(try await reader.readExactly(10) == octets("1234567890"))
      #expect(try await reader.readUntil(octets("||")) == octets("||"))
    }
    try read("1234567890|", byByte: false) { reader async throws in
      let error = await #expect(throws: LimitOverrunError.self) { try await reader.readUntil(octets("||")) }
      // The last byte may be the first half of a separator.
      #expect(error == LimitOverrunError(consumed: 10, isSeparatorFound: false))
      #expect(error?.description == "no separator was found in 10 bytes, which is beyond the limit")
      #expect(try await reader.readExactly(11) == octets("1234567890|"))
    }
  }

  @Test("an overrun comes before the end of the stream", arguments: [true, false])
  func overrunAtEnd(byByte: Bool) throws {
    try read("1234567890", byByte: byByte, ends: true) { reader async throws in
      await #expect(throws: LimitOverrunError.self) { try await reader.readUntil() }
      #expect(try await reader.read() == octets("1234567890"))
    }
  }

  @Test("readLine drops a line over the limit, and goes on with the next")
  func lineTooLong() throws {
    try read("123456789\n12345678\nrest", byByte: false, ends: true) { reader async throws in
      let error = await #expect(throws: LineTooLongError.self) { try await reader.readLine() }
      #expect(error?.limit == StreamReaderLimitTests.limit)
      #expect(error?.description == "a line is longer than the limit of 8 bytes")
      #expect(try await reader.readLine() == octets("12345678\n"))
      #expect(try await reader.readLine() == octets("rest"))
      #expect(try await reader.readLine() == [])
    }
  }

  @Test("readLine over the limit drops the whole buffer if no newline is in it")
  func lineTooLongWithoutEnd() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop, limit: StreamReaderLimitTests.limit)
      reader.feedData(octets("123456789012"))
      await #expect(throws: LineTooLongError.self) { try await reader.readLine() }
      reader.feedData(octets("34\nnext\n"))
      // What came later of the same line reads as a line of its own, as in asyncio.
      #expect(try await reader.readLine() == octets("34\n"))
      #expect(try await reader.readLine() == octets("next\n"))
    }
  }

  @Test("a line over the limit is dropped while its reader waits for the rest")
  func lineTooLongWhileWaiting() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop, limit: StreamReaderLimitTests.limit)
      let line = try await loop.startWaiting { try await reader.readLine() }
      reader.feedData(octets("12345678"))
      try await loop.settle()
      reader.feedData(octets("9"))
      await #expect(throws: LineTooLongError.self) { try await line.value }
      reader.feedEOF()
      #expect(reader.atEOF)
    }
  }

  @Test("lines on both sides of the limit, for the sequence of lines too")
  func linesSequence() throws {
    try read("12345678\n123456789\nshort\n", byByte: false, ends: true) { reader async throws in
      var lines: [String] = []
      var failures = 0
      while !reader.atEOF {
        do {
          for try await line in reader.lines { lines.append(line) }
        } catch is LineTooLongError {
          failures += 1
        }
      }
      #expect(lines == ["12345678", "short"])
      #expect(failures == 1)
    }
  }
}
