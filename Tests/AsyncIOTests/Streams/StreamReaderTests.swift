// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Readers that are fed by hand.
@Suite struct StreamReaderTests {
  @Test("a limit of zero or less is rejected", arguments: [0, -1, Int.min])
  func limitMustBePositive(limit: Int) throws {
    try runLoop { loop, kernel in
      let expected = EventLoopError(.invalidArgument, "")
      #expect(throws: expected) { _ = try StreamReader(loop, limit: limit) }
      await #expect(throws: expected) {
        _ = try await loop.startServer(host: "127.0.0.1", port: 0, limit: limit) { _, _ in }
      }
      await #expect(throws: expected) {
        _ = try await loop.startServer(hosts: ["127.0.0.1"], port: 0, limit: limit) { _, _ in }
      }
      let (first, second) = try kernel.makeSocketPair(.stream)
      let ours = Socket(adopting: first, kernel: kernel)
      let peer = Socket(adopting: second, kernel: kernel)
      await #expect(throws: expected) { _ = try await loop.openConnection(socket: ours, limit: limit) }
      #expect(!ours.isClosed, "the socket is the caller's until the connection is made")
      #expect(try peer.receiveNow() == [])
      // Without a single connection attempt.
      let made = kernel.count(of: .makeSocket)
      await #expect(throws: expected) { _ = try await loop.openConnection(host: "127.0.0.1", port: 1, limit: limit) }
      #expect(kernel.count(of: .makeSocket) == made)
    }
  }

  @Test("a read gives what is there, at most what was asked for")
  func read() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("abc"))
      reader.feedData([])
      reader.feedData(octets("def"))
      #expect(try await reader.read(0) == [])
      #expect(try await reader.read(2) == octets("ab"))
      #expect(try await reader.read(100) == octets("cdef"))
      let waiting = try await loop.startWaiting { try await reader.read(10) }
      reader.feedData(octets("g"))
      #expect(try await waiting.value == octets("g"))
      reader.feedEOF()
      #expect(try await reader.read(10) == [])
      #expect(try await reader.read() == [])
    }
  }

  @Test("read(-1) collects up to the end, whatever the limit")
  func readAll() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop, limit: 4)
      let all = try await loop.startWaiting { try await reader.read(-1) }
      var expected: [UInt8] = []
      for number in 0..<50 {
        let chunk = [UInt8](repeating: UInt8(number), count: number)
        expected += chunk
        reader.feedData(chunk)
        if number % 7 == 0 { try await loop.settle() }
      }
      reader.feedEOF()
      #expect(try await all.value == expected)
      #expect(reader.atEOF)
    }
  }

  @Test("readLine includes the newline; at the end it gives the rest, maybe nothing")
  func readLine() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("one\n\ntwo\r\nre"))
      #expect(try await reader.readLine() == octets("one\n"))
      #expect(try await reader.readLine() == octets("\n"))
      #expect(try await reader.readLine() == octets("two\r\n"))
      let rest = try await loop.startWaiting { try await reader.readLine() }
      reader.feedData(octets("st"))
      try await loop.settle()
      reader.feedEOF()
      #expect(try await rest.value == octets("rest"))
      #expect(try await reader.readLine() == [])
    }
  }

  @Test("readUntil includes the separator, also across chunks")
  func readUntil() throws {
    try runLoop { loop, _ in
      let text = octets("key--value-\r-\r\n--\r\n\r\nbody")
      for chunk in 1...text.count {
        let reader = try StreamReader(loop)
        let head = try await loop.startWaiting { try await reader.readUntil(octets("\r\n\r\n")) }
        for start in stride(from: 0, to: text.count, by: chunk) {
          reader.feedData(Array(text[start..<min(start + chunk, text.count)]))
          try await loop.sleep(for: .zero)
        }
        reader.feedEOF()
        #expect(try await head.value == text.dropLast(4), "in chunks of \(chunk)")
        #expect(try await reader.read() == octets("body"))
      }
    }
  }

  @Test("an empty separator is rejected")
  func emptySeparator() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("abc"))
      await #expect(throws: EventLoopError(.invalidArgument, "")) { try await reader.readUntil([]) }
      #expect(try await reader.read(10) == octets("abc"))
    }
  }

  @Test("readUntil at the end throws what there is, and empties the buffer")
  func readUntilAtEnd() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("part"))
      let waiting = try await loop.startWaiting { try await reader.readUntil(octets("||")) }
      reader.feedData(octets("ial|"))
      reader.feedEOF()
      await #expect(throws: IncompleteReadError(partial: octets("partial|"), expected: nil)) {
        try await waiting.value
      }
      #expect(reader.atEOF)
      await #expect(throws: IncompleteReadError(partial: [], expected: nil)) { try await reader.readUntil() }
    }
  }

  @Test("readExactly gives exactly so many bytes, whatever the limit")
  func readExactly() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop, limit: 3)
      #expect(try await reader.readExactly(0) == [])
      let waiting = try await loop.startWaiting { try await reader.readExactly(100) }
      for number in 0..<34 {
        reader.feedData([UInt8](repeating: UInt8(number), count: 3))
        try await loop.sleep(for: .zero)
      }
      #expect(try await waiting.value == (0..<100).map { UInt8($0 / 3) })
      #expect(try await reader.readExactly(2) == [33, 33])
      reader.feedEOF()
      #expect(try await reader.readExactly(0) == [])
    }
  }

  @Test("a negative count is rejected", arguments: [-1, Int.min])
  func negativeCount(count: Int) throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("abc"))
      await #expect(throws: EventLoopError(.invalidArgument, "")) { try await reader.readExactly(count) }
      #expect(try await reader.readExactly(3) == octets("abc"))
    }
  }

  @Test("an end inside readExactly throws what there is and what was expected")
  func incompleteRead() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("ab"))
      let waiting = try await loop.startWaiting { try await reader.readExactly(10) }
      reader.feedData(octets("c"))
      reader.feedEOF()
      let error = await #expect(throws: IncompleteReadError.self) { try await waiting.value }
      #expect(error == IncompleteReadError(partial: octets("abc"), expected: 10))
      #expect(error?.description == "the stream ended after 3 bytes of 10 expected")
      #expect(reader.atEOF)
    }
  }

  @Test("atEOF needs the end of the stream and an empty buffer")
  func atEOF() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      #expect(!reader.atEOF)
      reader.feedData(octets("a"))
      #expect(!reader.atEOF)
      reader.feedEOF()
      #expect(!reader.atEOF)
      _ = try await reader.read(1)
      #expect(reader.atEOF)
    }
  }

  @Test("a stream is iterated in the chunks in which it comes")
  func chunks() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let all = try await loop.startWaiting {
        var chunks: [[UInt8]] = []
        for try await chunk in reader { chunks.append(chunk) }
        return chunks
      }
      for text in ["a", "bc", "def"] {
        reader.feedData(octets(text))
        try await loop.settle()
      }
      reader.feedData(octets("gh"))
      reader.feedEOF()
      #expect(try await all.value == ["a", "bc", "def", "gh"].map(octets))
    }
  }

  @Test(
    "lines are iterated without their ends",
    arguments: [
      ("a\nb\n", ["a", "b"]), ("a\r\nb\r\n", ["a", "b"]), ("a\n\nb", ["a", "", "b"]), ("", []), ("\n", [""]),
      ("a\rb\r\r\n", ["a\rb\r"]), ("last\r", ["last\r"]), ("caf\u{e9}\n", ["caf\u{e9}"]),
    ])
  func lines(text: String, expected: [String]) throws {
    try runLoop { loop, _ in
      // Whole, and byte by byte.
      for step in [max(1, text.utf8.count), 1] {
        let reader = try StreamReader(loop)
        let all = try await loop.startWaiting {
          var lines: [String] = []
          for try await line in reader.lines { lines.append(line) }
          return lines
        }
        let bytes = octets(text)
        for start in stride(from: 0, to: bytes.count, by: step) {
          reader.feedData(Array(bytes[start..<min(start + step, bytes.count)]))
          try await loop.sleep(for: .zero)
        }
        reader.feedEOF()
        #expect(try await all.value == expected)
      }
    }
  }

  @Test("a long line that comes byte by byte is not searched from its start each time")
  func byteByByte() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let length = 1000
      let line = try await loop.startWaiting { try await reader.readLine() }
      for count in 1...length {
        reader.feedData(octets("x"))
        #expect(reader.searched == count)
      }
      reader.feedData(octets("\n"))
      #expect(try await line.value.count == length + 1)
    }
  }

  @Test("bytes that come after the end are an error of the program")
  func feedAfterEnd() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let reader = try StreamReader(EventLoop())
      reader.feedEOF()
      reader.feedData([1])
    }
    let message = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(message.contains("called after feedEOF"))
  }
}
