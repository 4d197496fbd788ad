// SPDX-License-Identifier: Apache-2.0

extension SnippetProgram {
  /// What belongs to a loop: a name of `program`'s parameters, and a use of it.
  private static let owned: [(name: String, use: String)] = [
    ("loop", "loop.stop()"), ("transport", "transport.close()"), ("reader", "_ = try await reader.read()"),
    ("writer", "writer.close()"), ("server", "server.close()"), ("future", "try future.setResult(1)"),
    ("handle", "handle.cancel()"), ("timer", "timer.cancel()"), ("socket", "socket.close()"),
    ("datagrams", "datagrams.close()"), ("input", "input.close()"), ("output", "output.close()"),
    ("terminal", "terminal.close()"), ("subprocess", "subprocess.close()"), ("child", "try child.kill()"),
    ("echo", "echo.count += 1"), ("context", "print(context)"), ("lock", "lock.release()"),
    ("queue", "queue.shutdown()"),
  ]

  static let allRejected = sentAway + runningLoop + tasks + concurrentUse + throughTheDoor + borrowedBytes + arguments

  /// Each kind of object, sent away in each of three ways.
  static let sentAway: [SnippetProgram] =
    owned.map { name, use in
      SnippetProgram(
        "\(name) in Task.detached", rejected: "Task.detached { \(use) }", accepted: "loop.createTask { \(use) }",
        Complaint.sending, onMainActor: name == "echo" ? Complaint.mainActor : Complaint.sending)
    }
    // An async closure is none for a queue.
    + owned.filter { $0.name != "reader" }.map { name, use in
      let use = use.replacing("try ", with: "try? ")
      return SnippetProgram(
        "\(name) in DispatchQueue.async", rejected: "DispatchQueue.global().async { \(use) }",
        accepted: "loop.callSoon { \(use) }", Complaint.sendableCapture, onMainActor: nil)
    }
    + owned.map { name, _ in
      SnippetProgram(
        "\(name) to another actor", rejected: "await keeper.keep(\(name))",
        accepted: "await keeper.keep(1); print(\(name))", Complaint.sending,
        // Under that default it is an object of the main actor, which any other may hold.
        onMainActor: name == "echo" ? nil : Complaint.sending)
    }

  static let concurrentUse: [SnippetProgram] = [
    SnippetProgram(
      "a loop in Thread", rejected: "Thread.detachNewThread { loop.stop() }",
      accepted: "Thread.detachNewThread { try? remote.stop() }", Complaint.sendableCapture),
    SnippetProgram(
      "a loop in Task", rejected: "Task { loop.stop() }", accepted: "Task { try remote.stop() }", Complaint.sending,
      onMainActor: nil),
    SnippetProgram(
      "a loop in MainActor.run", rejected: "await MainActor.run { loop.stop() }",
      accepted: "try await MainActor.run { try remote.stop() }", Complaint.sending, onMainActor: nil),
    SnippetProgram(
      "a loop in a task group",
      rejected: "await withTaskGroup { group in group.addTask { loop.stop() } }",
      accepted: "await withTaskGroup { group in group.addTask { try? remote.stop() } }", Complaint.sending),
    SnippetProgram(
      "a reader in async let while it is shared",
      rejected: "async let first = reader.read(); _ = try await reader.read(); _ = try await first",
      accepted: "let first = loop.createTask { try await reader.read() }; _ = try await first.value", Complaint.sending),
    SnippetProgram(
      "one end of a connection in async let",
      rejected: """
        let (reader, writer) = try await loop.openConnection(host: "h", port: 1)
        async let answer = reader.read()
        try await writer.send("question")
        _ = try await answer
        """,
      accepted: """
        let (reader, writer) = try await loop.openConnection(host: "h", port: 1)
        let answer = loop.createTask { try await reader.read() }
        try await writer.send("question")
        _ = try await answer.value
        """, Complaint.sending),
    SnippetProgram(
      "a connection that was just made",
      rejected: """
        let (reader, _) = try await loop.openConnection(host: "h", port: 1)
        Task.detached { _ = try await reader.read() }
        """,
      accepted: """
        let (reader, _) = try await loop.openConnection(host: "h", port: 1)
        loop.createTask { _ = try await reader.read() }
        """, Complaint.sending),
    SnippetProgram(
      "a protocol object that a connection was just made with",
      rejected: """
        let (_, made) = try await loop.createConnection(Echo.init, host: "h", port: 1)
        Task.detached { made.count += 1 }
        """,
      accepted: """
        let (_, made) = try await loop.createConnection(Echo.init, host: "h", port: 1)
        loop.callSoon { made.count += 1 }
        """, Complaint.sending, onMainActor: Complaint.mainActor),
    SnippetProgram(
      "a socket that was handed to a transport",
      rejected: """
        let (first, _) = try Socket.pair()
        _ = try await loop.createConnection(Echo.init, socket: first)
        Task.detached { first.close() }
        """,
      accepted: """
        let (first, _) = try Socket.pair()
        _ = try await loop.createConnection(Echo.init, socket: first)
        let (other, _) = try Socket.pair()
        Task.detached { other.close() }
        """, Complaint.sending),
    SnippetProgram(
      "state of a callback, used elsewhere too",
      rejected: "loop.callSoon { counter.value += 1 }; Task.detached { counter.value += 1 }",
      accepted: "loop.callSoon { counter.value += 1 }; loop.createTask { counter.value += 1 }",
      Complaint.sending, onMainActor: Complaint.mainActor),
    SnippetProgram(
      "new state of a callback, used elsewhere too",
      rejected: "let new = Counter(); loop.callSoon { new.value += 1 }; Task.detached { new.value += 1 }",
      accepted: "let new = Counter(); loop.callSoon { new.value += 1 }; loop.callSoon { new.value += 1 }",
      Complaint.sending, onMainActor: Complaint.mainActor),
    SnippetProgram(
      "a variable of a task, used elsewhere too",
      rejected: "var new = 0; loop.createTask { new += 1 }; Task.detached { new += 1 }",
      accepted: "var new = 0; loop.createTask { new += 1 }; loop.createTask { new += 1 }; new += 1",
      // Swift 6.3 does not see it in a function of the main actor, whatever the library.
      Complaint.sending, onMainActor: nil),
    SnippetProgram(
      "a loop of one's own, sent away with its callback's state",
      rejected: """
        let own = try EventLoop(); let new = Counter()
        own.callSoon { new.value += 1 }
        Task.detached { try own.runForever() }
        new.value += 1
        """,
      accepted: """
        let own = try EventLoop(); let new = Counter()
        own.callSoon { new.value += 1 }
        Task.detached { try own.runForever() }
        """, Complaint.sending, isAcceptedOnMainActor: false),
    SnippetProgram(
      "a global loop", in: .file, rejected: "nonisolated static let shared = try! EventLoop()",
      accepted: "nonisolated static func make() throws -> EventLoop { try EventLoop() }",
      "is not concurrency-safe|can ?not be applied"),
    SnippetProgram(
      "a Sendable object that holds a loop", in: .file,
      rejected: "nonisolated final class Holder: Sendable { let loop: EventLoop; init(_ l: EventLoop) { loop = l } }",
      accepted: "nonisolated final class Holder: Sendable { let loop: RemoteLoop; init(_ l: RemoteLoop) { loop = l } }",
      "'Sendable'-conforming class 'Holder' has non-Sendable type 'EventLoop'"),
  ]

  static let throughTheDoor: [SnippetProgram] = [
    SnippetProgram(
      "a loop that is shared, in its own remote call",
      rejected: "try loop.remote.callSoonThreadsafe { _ in loop.stop() }",
      accepted: "try loop.remote.callSoonThreadsafe { loop in loop.stop() }", Complaint.sending),
    SnippetProgram(
      "a loop that is used after a remote call captured it",
      rejected: """
        let own = try EventLoop()
        try own.remote.callSoonThreadsafe { _ in own.stop() }
        try own.runForever()
        """,
      accepted: """
        let own = try EventLoop()
        try own.remote.callSoonThreadsafe { own in own.stop() }
        try own.runForever()
        """, Complaint.sending),
    SnippetProgram(
      "state that is used after a remote call captured it",
      rejected: "let new = Counter(); try remote.callSoonThreadsafe { _ in new.value += 1 }; new.value += 1",
      accepted: "let new = Counter(); new.value += 1; try remote.callSoonThreadsafe { _ in new.value += 1 }",
      Complaint.sending, onMainActor: Complaint.mainActor, isAcceptedOnMainActor: false),
    SnippetProgram(
      "state that is used after a remote task captured it",
      rejected: "var new = 0; try await remote.run { _ in new += 1 }; new += 1",
      accepted: "var new = 0; new += try await remote.run { _ in 1 }; new += 1", Complaint.sending),
    SnippetProgram(
      "a loop that a remote call lets out",
      rejected: "try remote.callSoonThreadsafe { loop in Task.detached { loop.stop() } }",
      accepted: "try remote.callSoonThreadsafe { loop in loop.createTask { loop.stop() } }", Complaint.sending),
    SnippetProgram(
      "a loop that a remote task returns", rejected: "_ = try await remote.run { $0 }",
      accepted: "_ = try await remote.run { $0.remote }", Complaint.sendableResult),
    SnippetProgram(
      "a loop that a remote task puts into a variable",
      rejected: "var out: EventLoop?; try await remote.run { out = $0 }; out?.stop()",
      accepted: "var out: RemoteLoop?; out = try await remote.run { $0.remote }; try out?.stop()", Complaint.sending),
    SnippetProgram(
      "a loop behind a mutex", in: .file,
      rejected: """
        nonisolated final class Place: Sendable {
          let loop = Mutex<EventLoop?>(nil)
          func fill(_ l: EventLoop) { loop.withLock { $0 = l } }
        }
        """,
      accepted: """
        nonisolated final class Place: Sendable {
          let loop = Mutex<RemoteLoop?>(nil)
          func fill(_ l: EventLoop) { loop.withLock { $0 = l.remote } }
        }
        """, "'inout sending' parameter '\\$0' cannot be .*isolated at end of function"),
    SnippetProgram(
      "a loop in blocking work", rejected: "try await loop.runInExecutor { loop.stop() }",
      accepted: "let door = loop.remote; try await loop.runInExecutor { try door.stop() }", Complaint.sending),
    SnippetProgram(
      "state that is used after blocking work captured it",
      rejected: "let new = Counter(); try await loop.runInExecutor { new.value += 1 }; new.value += 1",
      accepted: """
        let new = Counter()
        let back = try await loop.runInExecutor { new.value += 1; return new }
        back.value += 1
        """, Complaint.sending, onMainActor: Complaint.mainActor, isAcceptedOnMainActor: false),
    SnippetProgram(
      "state of the main actor in blocking work", in: .file,
      rejected: """
        @MainActor final class View {
          var value = 0
          func update(_ loop: EventLoop) async throws { try await loop.runInExecutor { self.value += 1 } }
        }
        """,
      accepted: """
        @MainActor final class View {
          var value = 0
          func update(_ loop: EventLoop) async throws { value += try await loop.runInExecutor { 1 } }
        }
        """, Complaint.mainActor),
    SnippetProgram(
      "state of the main actor in a remote call", in: .file,
      rejected: """
        @MainActor final class View {
          var value = 0
          func update(_ remote: RemoteLoop) throws { try remote.callSoonThreadsafe { _ in self.value += 1 } }
        }
        """,
      accepted: """
        @MainActor final class View {
          var value = 0
          func update(_ remote: RemoteLoop) async throws { value += try await remote.run { _ in 1 } }
        }
        """, Complaint.mainActor),
    SnippetProgram(
      "a loop of the main actor that is run elsewhere", in: .file,
      rejected: """
        @MainActor final class View {
          var value = 0
          func start() throws {
            let own = try EventLoop()
            own.callSoon { self.value += 1 }
            Task.detached { try own.runForever() }
          }
        }
        """,
      accepted: """
        @MainActor final class View {
          var value = 0
          func start() throws {
            let own = try EventLoop()
            own.callSoon { self.value += 1 }
            try own.runForever()
          }
        }
        """, Complaint.sending),
  ]

  /// A protocol object with the line in its `dataReceived`.
  private static func receiver(_ line: String) -> String {
    """
    final class Receiver: StreamProtocol {
      let loop: EventLoop
      var bytes: [UInt8] = []
      var kept: [Any] = []
      var later: (() -> Void)?
      init(_ loop: EventLoop) { self.loop = loop }
      func dataReceived(_ data: Span<UInt8>) { \(line) }
    }
    """
  }

  static let borrowedBytes: [SnippetProgram] = [
    SnippetProgram(
      "a span in a property", in: .file,
      rejected: """
        final class Receiver: StreamProtocol {
          var kept: Span<UInt8>?
          func dataReceived(_ data: Span<UInt8>) { kept = data }
        }
        """,
      accepted: """
        final class Receiver: StreamProtocol {
          var kept: [UInt8]?
          func dataReceived(_ data: Span<UInt8>) { kept = data.indices.map { data[$0] } }
        }
        """, Complaint.escape, onMainActor: nil),
    SnippetProgram(
      "a span in an array", in: .file, rejected: receiver("kept.append(data)"),
      accepted: receiver("for index in data.indices { bytes.append(data[index]) }"), Complaint.escape, onMainActor: nil),
    SnippetProgram(
      "a span in a callback", in: .file, rejected: receiver("loop.callSoon { print(data.count) }"),
      accepted: receiver("let count = data.count; loop.callSoon { print(count) }"), Complaint.escape, onMainActor: nil),
    SnippetProgram(
      "a span in a task", in: .file, rejected: receiver("loop.createTask { print(data[0]) }"),
      accepted: receiver("let first = data[0]; loop.createTask { print(first) }"), Complaint.escape, onMainActor: nil),
    SnippetProgram(
      "a span in a closure that is kept", in: .file, rejected: receiver("later = { print(data.count) }"),
      accepted: receiver("let count = data.count; later = { print(count) }"), Complaint.escape, onMainActor: nil),
    SnippetProgram(
      "a buffer that is kept out of withBuffer", in: .file,
      rejected: """
        final class Receiver: BufferedProtocol {
          var bytes = [UInt8](repeating: 0, count: 9)
          func withBuffer(sizeHint: Int, _ body: (inout MutableSpan<UInt8>) throws -> Void) throws {
            let later = { try body(&self.bytes.mutableSpan) }
            try later()
          }
          func bufferUpdated(_ count: Int) {}
        }
        """,
      accepted: """
        final class Receiver: BufferedProtocol {
          var bytes = [UInt8](repeating: 0, count: 9)
          func withBuffer(sizeHint: Int, _ body: (inout MutableSpan<UInt8>) throws -> Void) throws {
            try lend(&bytes, body)
          }
          private func lend(_ bytes: inout [UInt8], _ body: (inout MutableSpan<UInt8>) throws -> Void) throws {
            var span = bytes.mutableSpan
            try body(&span)
          }
          func bufferUpdated(_ count: Int) {}
        }
        """, "cannot pass immutable value as inout argument|escap", onMainActor: nil),
  ]

  static let arguments: [SnippetProgram] = [
    SnippetProgram(
      "host, port and socket for a connection",
      rejected: "_ = try await loop.createConnection(Echo.init, host: \"h\", port: 1, socket: socket)",
      accepted: "_ = try await loop.createConnection(Echo.init, host: \"h\", port: 1)", Complaint.arguments,
      onMainActor: nil),
    SnippetProgram(
      "neither for a connection", rejected: "_ = try await loop.createConnection(Echo.init)",
      accepted: "_ = try await loop.createConnection(Echo.init, socket: socket)", Complaint.arguments, onMainActor: nil),
    SnippetProgram(
      "port and socket for a server",
      rejected: "_ = try await loop.createServer(Echo.init, port: 1, socket: socket)",
      accepted: "_ = try await loop.createServer(Echo.init, port: 1)", Complaint.arguments, onMainActor: nil),
    SnippetProgram(
      "neither for a server", rejected: "_ = try await loop.createServer(Echo.init)",
      accepted: "_ = try await loop.createServer(Echo.init, socket: socket)", Complaint.arguments, onMainActor: nil),
    SnippetProgram(
      "host, port and socket for a stream",
      rejected: "_ = try await loop.openConnection(host: \"h\", port: 1, socket: socket)",
      accepted: "_ = try await loop.openConnection(host: \"h\", port: 1)", Complaint.arguments, onMainActor: nil),
    SnippetProgram(
      "port and socket for a stream server",
      rejected: "_ = try await loop.startServer(port: 1, socket: socket) { _, _ in }",
      accepted: "_ = try await loop.startServer(socket: socket) { _, _ in }", Complaint.arguments, onMainActor: nil),
  ]
}
