// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import AsyncIOTesting
import Testing

@Suite struct DeadlockTests {
  @Test("A test that would wait for ever is told at once, with the tree of what waits for what")
  func tree() async throws {
    let error = await #expect(throws: SimulationError.self) {
      try await withTestLoop { loop in
        let queue = Queue<Int>(loop)
        let consumer = loop.createTask(name: "consumer") { try await queue.get() }
        let waiting = loop.createTask(name: "in between") {
          try await loop.withDeadline(nil) { _ = try await consumer.value }
        }
        try await waiting.value
      }
    }
    let text = try #require(error?.description.split(separator: "\n"))
    #expect(error?.code == .deadlock)
    try #require(text.count == 4, "\(text)")
    #expect(text[1].hasPrefix("  task \"the test\" (AsyncIOTestingTests/DeadlockTests.swift:"))
    #expect(text[1].contains(") awaits task \"in between\" ("))
    #expect(text[2].hasPrefix("    task \"in between\" (AsyncIOTestingTests/DeadlockTests.swift:"))
    #expect(text[2].contains("awaits task \"consumer\""))
    #expect(text[2].hasSuffix("in a time limit that is off"))
    #expect(text[3].hasPrefix("      task \"consumer\" ("))
    #expect(text[3].hasSuffix("waits in Queue.get"))
  }

  @Test("Two tasks that await each other are told of as well")
  func circle() async throws {
    let error = await #expect(throws: SimulationError.self) {
      try await withTestLoop { loop in
        let first = Future<LoopTask<Void>>(loop)
        let second = loop.createTask(name: "second") { try await first.value.value }
        let task = loop.createTask(name: "first") { try await second.value }
        try first.setResult(task)
        try await loop.shield(task)
      }
    }
    #expect(error?.code == .deadlock)
    #expect(error?.description.contains("task \"first\"") == true)
    #expect(error?.description.contains("task \"second\"") == true)
  }

  @Test("A wait for bytes that nobody sends is a deadlock too, and names the call")
  func bytes() async throws {
    let error = await #expect(throws: SimulationError.self) {
      try await withTestLoop { loop in
        let server = try await loop.startServer(host: "localhost", port: 80) { reader, _ in
          _ = try await reader.readLine()
        }
        defer { server.close() }
        let (reader, writer) = try await loop.openConnection(host: "localhost", port: 80)
        defer { writer.close() }
        _ = try await reader.read()
      }
    }
    #expect(error?.code == .deadlock)
    #expect(error?.description.contains("waits in StreamReader.read\n") == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("waits in StreamReader.readLine") == true, "\(error?.description ?? "")")
  }

  @Test("A loop that reschedules itself for ever while its clock stands still is told of")
  func livelock() async throws {
    let error = await #expect(throws: SimulationError.self) {
      try await withTestLoop { loop in
        while true { try await loop.sleep(for: .zero) }
      }
    }
    #expect(error?.code == .livelock)
  }
}
