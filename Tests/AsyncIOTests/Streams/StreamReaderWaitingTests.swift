// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Reads that wait: cancelled, failed, or two at once.
@Suite struct StreamReaderWaitingTests {
  /// Each way to wait for data.
  enum Read: String, CaseIterable, Sendable {
    case all, some, exactly, until, line, chunk, textLine, lent

    /// Whether a first part of what is asked for keeps it waiting.
    var waitsForMore: Bool { self != .some && self != .chunk }

    func callAsFunction(_ reader: StreamReader) async throws -> [UInt8] {
      switch self {
      case .all: return try await reader.read()
      case .some: return try await reader.read(10)
      case .exactly: return try await reader.readExactly(4)
      case .until: return try await reader.readUntil(octets("d\n"))
      case .line: return try await reader.readLine()
      case .chunk:
        var iterator = reader.makeAsyncIterator()
        return try await iterator.next() ?? []
      case .textLine:
        var iterator = reader.lines.makeAsyncIterator()
        return octets(try await iterator.next() ?? "")
      case .lent:
        var bytes: [UInt8] = []
        try await reader.withBytes(atLeast: 3) { lent in
          bytes = [UInt8](copying: lent)
          return lent.count
        }
        return bytes
      }
    }
  }

  @Test("a cancelled read loses no byte", arguments: Read.allCases)
  func cancelledRead(read: Read) throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      if read.waitsForMore { reader.feedData(octets("ab")) }
      let waiting = try await loop.startWaiting { try await read(reader) }
      waiting.cancel()
      await #expect(throws: CancellationError.self) { try await waiting.value }
      reader.feedData(octets(read.waitsForMore ? "cd\n" : "abcd\n"))
      #expect(try await reader.readUntil(octets("d\n")) == octets("abcd\n"))
    }
  }

  @Test("a read that is cancelled in the moment in which data comes loses no byte", arguments: Read.allCases)
  func cancelledAsDataComes(read: Read) throws {
    try runLoop { loop, _ in
      for cancelsFirst in [true, false] {
        let reader = try StreamReader(loop)
        let waiting = try await loop.startWaiting { try await read(reader) }
        if cancelsFirst { waiting.cancel() }
        reader.feedData(octets("abcd\n"))
        reader.feedEOF()
        if !cancelsFirst { waiting.cancel() }
        let got = (try? await waiting.value) ?? []
        #expect(got.isEmpty == cancelsFirst, "a read that has its data is not cancelled any more")
        let line = read == .textLine && !got.isEmpty ? got + octets("\n") : got
        #expect(line + (try await reader.read()) == octets("abcd\n"))
      }
    }
  }

  @Test("a task that is cancelled already gets what is there, and does not wait")
  func readOfCancelledTask() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("ab"))
      let task = loop.createTask {
        while !Task.isCancelled { try await loop.settle() }
        #expect(try await reader.read(10) == octets("ab"))
        _ = try await reader.read(10)
      }
      try await loop.settle()
      task.cancel()
      await #expect(throws: (any Error).self) { try await task.value }
      reader.feedData(octets("cd"))
      #expect(try await reader.read(10) == octets("cd"))
    }
  }

  @Test("a read right after the cancellation of another one waits in its place")
  func readAfterCancelledRead() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let first = try await loop.startWaiting { try await reader.read(10) }
      first.cancel()
      let second = loop.createTask { try await reader.read(10) }
      await #expect(throws: CancellationError.self) { try await first.value }
      try await loop.settle()
      reader.feedData(octets("x"))
      #expect(try await second.value == octets("x"))
    }
  }

  @Test("a read by the task that has just cancelled another one need not wait for that one to end")
  func readBeforeCancelledReadEnds() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let first = try await loop.startWaiting { try await reader.read(10) }
      first.cancel()
      reader.feedData(octets("x"))
      #expect(try await reader.read(10) == octets("x"))
      await #expect(throws: CancellationError.self) { try await first.value }
    }
  }

  @Test("two tasks that read at once: the second is refused, and takes nothing", arguments: Read.allCases)
  func twoReads(second: Read) throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let first = try await loop.startWaiting { try await reader.readLine() }
      await #expect(throws: EventLoopError(.invalidState, "")) { try await second(reader) }
      // Now something is there that the second could take.
      reader.feedData(octets("ab"))
      try await loop.settle()
      await #expect(throws: EventLoopError(.invalidState, "")) { try await second(reader) }
      reader.feedData(octets("c\nde\n"))
      // The first has not run yet, but has been given its line: what is left is anybody's.
      #expect(try await reader.readExactly(1) == octets("d"))
      #expect(try await first.value == octets("abc\n"))
      #expect(try await reader.readLine() == octets("e\n"))
    }
  }

  @Test("a task is woken by the last of what it wants, not by a part of it", arguments: Read.allCases)
  func wokenOnce(read: Read) throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let waiting = try await loop.startWaiting { try await read(reader) }
      #expect(loop.core.ready.count == 0)
      reader.feedData(octets("ab"))
      #expect(loop.core.ready.isEmpty == read.waitsForMore)
      reader.feedData(octets("cd\n"))
      if read == .all {
        #expect(loop.core.ready.count == 0)
        reader.feedEOF()
      }
      #expect(loop.core.ready.count == 1)
      let text = try await waiting.value
      switch read {
      case .some, .chunk: #expect(text == octets("ab"))
      case .exactly, .textLine: #expect(text == octets("abcd"))
      case .all, .until, .line, .lent: #expect(text == octets("abcd\n"))
      }
    }
  }

  @Test("a read that waits for some bytes is given as many as it asked for, and the next one the others")
  func noMoreThanAsked() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let waiting = try await loop.startWaiting { try await reader.read(3) }
      reader.feedData(octets("abcde"))
      #expect(try await waiting.value == octets("abc"))
      #expect(try await reader.read(10) == octets("de"))
    }
  }

  @Test("a read that is refused leaves the one that waits what it looks for")
  func refusedSeparator() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let first = try await loop.startWaiting { try await reader.readUntil(octets("x")) }
      await #expect(throws: EventLoopError(.invalidState, "")) { try await reader.readUntil(octets("y")) }
      reader.feedData(octets("ayb"))
      reader.feedData(octets("x"))
      #expect(try await first.value == octets("aybx"))
    }
  }

  @Test("a read looks from the start, however far one before it had looked")
  func looksFromStart() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let first = try await loop.startWaiting { try await reader.readLine() }
      reader.feedData(octets("abcde"))
      first.cancel()
      await #expect(throws: CancellationError.self) { try await first.value }
      #expect(try await reader.readExactly(5) == octets("abcde"))
      let second = try await loop.startWaiting { try await reader.readLine() }
      reader.feedData(octets("x\nyz\n"))
      #expect(try await second.value == octets("x\n"))
      #expect(try await reader.readLine() == octets("yz\n"))
    }
  }

  @Test("an actor on the loop iterates in its own isolation")
  func iterationOfActor() throws {
    try runLoop { loop, _ in
      let reader = LoopBound(try StreamReader(loop))
      let actor = LoopActor(loop.actorExecutor)
      let task = loop.createTask { try await actor.collect(reader) }
      try await loop.settle()
      for chunk in ["ab", "c", "def"] {
        reader.value.feedData(octets(chunk))
        try await loop.settle()
      }
      reader.value.feedEOF()
      #expect(try await task.value == [octets("ab"), octets("c"), octets("def")])
    }
  }

  /// Lives on a loop.
  private actor LoopActor {
    private let executor: any SerialExecutor
    private var chunks: [[UInt8]] = []
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    init(_ executor: any SerialExecutor) { self.executor = executor }

    func collect(_ reader: LoopBound<StreamReader>) async throws -> [[UInt8]] {
      for try await chunk in reader.value {
        assertIsolated()
        chunks.append(chunk)
      }
      return chunks
    }
  }

  @Test("children of a task, which the loop does not know, read and wait as it does", arguments: Read.allCases)
  func readsOfChildren(read: Read) throws {
    try runLoop { loop, _ in
      let reader = LoopBound(try StreamReader(loop))
      reader.value.feedData(octets("x"))
      async let child = {
        // The loop's own thread: tasks' children prefer the loop's executor as well.
        #expect(try await reader.value.readExactly(1) == octets("x"))
        return try await read(reader.value)
      }()
      try await loop.settle()
      await #expect(throws: EventLoopError(.invalidState, "")) { try await reader.value.readLine() }
      reader.value.feedData(octets("ab"))
      try await loop.settle()
      reader.value.feedData(octets("cd\n"))
      reader.value.feedEOF()
      let rest = try await child + reader.value.read()
      #expect(rest.starts(with: octets("abcd")))
      #expect(reader.value.atEOF)
    }
  }

  @Test("a child's read that is cancelled loses no byte, and does not stand in another's way", arguments: Read.allCases)
  func cancelledReadOfChild(read: Read) throws {
    try runLoop { loop, _ in
      let reader = LoopBound(try StreamReader(loop))
      let ended = try await withThrowingTaskGroup(of: Bool.self) { group in
        group.addTask {
          do { _ = try await read(reader.value) } catch is CancellationError { return true }
          return false
        }
        try await loop.settle()
        if read.waitsForMore { reader.value.feedData(octets("ab")) }
        group.cancelAll()
        return try await group.next()
      }
      #expect(ended == true)
      reader.value.feedData(octets(read.waitsForMore ? "cd\n" : "abcd\n"))
      #expect(try await reader.value.readLine() == octets("abcd\n"))
      let next = try await loop.startWaiting { try await reader.value.read(3) }
      reader.value.feedData(octets("e"))
      #expect(try await next.value == octets("e"))
    }
  }

  @Test("two tasks that read in turns: none sees an end that is not there")
  func noFalseEnd() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let first = try await loop.startWaiting { try await reader.read(10) }
      let second = loop.createTask { try await reader.read(10) }
      reader.feedData(octets("x"))
      #expect(try await first.value == octets("x"))
      try await loop.settle()
      #expect(!second.isDone)
      reader.feedData(octets("y"))
      #expect(try await second.value == octets("y"))
    }
  }

  @Test("an error wakes the waiting read, and all later ones throw it", arguments: Read.allCases)
  func errorWakes(read: Read) throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      #expect(reader.error == nil)
      let waiting = try await loop.startWaiting { try await read(reader) }
      reader.setError(TestError(number: 5))
      #expect(reader.error as? TestError == TestError(number: 5))
      await #expect(throws: TestError(number: 5)) { try await waiting.value }
      for later in Read.allCases {
        await #expect(throws: TestError(number: 5), "\(later)") { try await later(reader) }
      }
    }
  }

  @Test("an error that is set before a read is thrown by it, data or not")
  func errorBeforeRead() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      reader.feedData(octets("abcd\n"))
      reader.setError(TestError(number: 1))
      for read in Read.allCases {
        await #expect(throws: TestError(number: 1), "\(read)") { try await read(reader) }
      }
    }
  }

  @Test("an error is harmless after a cancellation")
  func errorAfterCancellation() throws {
    try runLoop { loop, _ in
      let reader = try StreamReader(loop)
      let waiting = try await loop.startWaiting { try await reader.read(1) }
      waiting.cancel()
      reader.setError(TestError(number: 2))
      reader.feedEOF()
      await #expect(throws: CancellationError.self) { try await waiting.value }
      await #expect(throws: TestError(number: 2)) { try await reader.read(1) }
    }
  }

  @Test("a loop that ends cancels its waiting reads")
  func loopEnds() throws {
    var ended: (any Error)?
    try runLoop { loop, kernel in
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel)
      _ = try await loop.startWaiting {
        do { _ = try await reader.read() } catch { ended = error }
        writer.close()
        peer.close()
      }
    }
    #expect(ended is CancellationError)
  }
}
