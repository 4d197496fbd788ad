// SPDX-License-Identifier: Apache-2.0
import Testing

/// Programs that the compiler must take: those that look most like the ones that it rejects, and what users write.
@Suite(.serialized) struct AcceptedProgramTests {
  @Test("the twin of each rejected program compiles", arguments: SnippetCompiler.DefaultIsolation.allCases)
  func twins(isolation: SnippetCompiler.DefaultIsolation) async throws {
    let twins = SnippetProgram.allRejected.filter { isolation == .nonisolated || $0.isAcceptedOnMainActor }
    let source = SnippetProgram.file(twins.map { ($0.accepted, $0.place) })
    let errors = try await SnippetCompiler.shared.get().errors(in: source, isolation)
    #expect(errors == [])
  }

  @Test(
    "a program that copies both ways between two connections compiles, whatever the settings",
    arguments: SnippetCompiler.DefaultIsolation.allCases, [false, true])
  func copiesBothWays(isolation: SnippetCompiler.DefaultIsolation, staysWithCaller: Bool) async throws {
    let source = """
      import AsyncIO

      func program() {
        EventLoop.main { loop in
          let (near, nearWriter) = try await loop.openConnection(host: "127.0.0.1", port: 1)
          let (far, farWriter) = try await loop.openConnection(host: "127.0.0.1", port: 2)
          _ = try await loop.gather(
            { for try await chunk in near { try await farWriter.send(chunk) } },
            { for try await chunk in far { try await nearWriter.send(chunk) } })
        }
      }

      nonisolated(nonsending) func copy(_ reader: StreamReader, _ writer: StreamWriter) async throws {
        for try await chunk in reader { try await writer.send(chunk) }
        writer.writeEOF()
      }

      func sameInAGroup() {
        EventLoop.main { loop in
          let (near, nearWriter) = try await loop.openConnection(host: "127.0.0.1", port: 1)
          let (far, farWriter) = try await loop.openConnection(host: "127.0.0.1", port: 2)
          try await loop.withLoopTaskGroup { group in
            group.createTask { try await copy(near, farWriter) }
            group.createTask { try await copy(far, nearWriter) }
          }
        }
      }
      """
    let errors = try await SnippetCompiler.shared.get()
      .errors(in: source, isolation, staysWithCaller: staysWithCaller)
    #expect(errors == [])
  }

  @Test("what programs do compiles", arguments: SnippetCompiler.DefaultIsolation.allCases)
  func programs(isolation: SnippetCompiler.DefaultIsolation) async throws {
    let source = SnippetProgram.file(programs.map { ($0.code, $0.place) })
    let errors = try await SnippetCompiler.shared.get().errors(in: source, isolation)
    #expect(errors == [])
  }

  private let programs: [(name: String, place: SnippetProgram.Place, code: String)] = [
    (
      "loop.remote in Task.detached, Thread and DispatchQueue", .function,
      """
      let door = loop.remote
      Task.detached { try door.callSoonThreadsafe { loop in loop.stop() } }
      Thread.detachNewThread { try? door.stop() }
      DispatchQueue.global().async { try? door.stop() }
      async let time = door.run { $0.time }
      print(try await time)
      """
    ),
    (
      "a queue's remote anywhere, and state that a lock's closure shares with its surroundings", .function,
      """
      let door = queue.remote
      Task.detached { try await door.put(1) }
      async let number = door.get()
      var count = 0
      let held = try await lock.withLock {
        count += try await queue.get()
        return counter
      }
      loop.createTask { for try await number in queue { count += number } }
      held.value += count
      print(try await number)
      """
    ),
    (
      "mutable state that callbacks and tasks share", .function,
      """
      var count = 0
      loop.callSoon { count += 1; counter.value += 1 }
      loop.callLater(.seconds(1)) { count += 1; counter.value += count }
      let task = loop.createTask { count += 1; return count }
      count += 1
      loop.setExceptionHandler { _, _ in count += 1 }
      _ = try await loop.startServer(port: 0) { reader, writer in
        count += 1
        for try await chunk in reader { try await writer.send(chunk) }
        counter.value += count
      }
      print(try await task.value, count)
      """
    ),
    (
      "objects of a loop in its callbacks and tasks", .function,
      """
      loop.callSoon { transport.close(); writer.close(); server.close(); handle.cancel(); try future.setResult(1) }
      let first = loop.createTask { try await reader.readLine() }
      let second = loop.createTask { for try await line in reader.lines { print(line) } }
      _ = try await (first.value, second.value, future.value)
      let away = first.remote
      Task.detached { away.cancel(); _ = try await away.value }
      """
    ),
    (
      "a protocol object that the program keeps", .function,
      """
      let own = Echo()
      let (transport, same) = try await loop.createConnection({ own }, host: "h", port: 1)
      own.count += same.count
      loop.callSoon { own.count += 1; transport.write([1]) }
      _ = try await loop.createServer(Echo.init, port: 0)
      """
    ),
    (
      "a stream handler by name", .file,
      """
      static func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
        for try await chunk in reader { try await writer.send(chunk) }
      }
      static func start(_ loop: EventLoop) async throws -> Server { try await loop.startServer(port: 0, echo) }
      """
    ),
    (
      "values that go to an actor", .function,
      "await keeper.keep(try await reader.read()); await keeper.keep(loop.remote); await keeper.keep(loop.clock)"
    ),
    (
      "a loop on a thread of its own", .function,
      "Thread.detachNewThread { try? EventLoop.run { loop in try await loop.sleep(for: .seconds(1)) } }"
    ),
    (
      "a program", .file,
      """
      static func main() throws {
        var count = 0
        try EventLoop.run { loop in
          count += 1
          try await loop.sleep(for: .zero)
          count += 1
        }
        print(count)
      }
      """
    ),
    (
      "state of the main actor in callbacks and handlers of the main loop", .file,
      """
      @MainActor final class View {
        var value = 0
        func start(_ loop: EventLoop, _ remote: RemoteLoop) async throws {
          loop.callSoon { self.value += 1 }
          loop.createTask { self.value += 1 }
          _ = try await loop.startServer(port: 0) { reader, _ in self.value += try await reader.read().count }
          value += try await remote.run { _ in 1 }
        }
      }
      """
    ),
    (
      "what the running loop is lent for", .function,
      """
      let time = EventLoop.withRunning { $0.time }
      EventLoop.withRunning { loop in
        let sent = Shared()
        loop.callSoon { sent.hit() }
        loop.createTask { try await loop.sleep(for: .zero) }
      }
      print(time as Any)
      """
    ),
  ]
}
