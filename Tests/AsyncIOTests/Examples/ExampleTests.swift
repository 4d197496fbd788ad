// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// Every example is run, as its user does.
@Suite("Examples") struct ExampleTests {
  /// One that goes on until somebody ends it.
  struct Lasting: Sendable, CustomTestStringConvertible {
    let name: String
    var arguments: [String] = []
    var input = ""
    /// What it prints when it is at work.
    var ready: String
    /// What it prints on its way out.
    var farewell = ""
    /// Whether it ends by itself then, rather than by the signal.
    var answers = false

    var testDescription: String { ([name] + arguments).joined(separator: " ") }
  }

  static let lasting = [
    Lasting(name: "echo-server", arguments: ["--port", "0"], ready: "listening on"),
    Lasting(name: "echo-server", arguments: ["--port", "0", "--style", "callbacks"], ready: "listening on"),
    Lasting(name: "echo-server", arguments: ["--port", "0", "--udp"], ready: "listening on"),
    Lasting(name: "http-server", ready: "listening on"),
    Lasting(name: "udp-echo-server", arguments: ["0"], ready: "serving on"),
    Lasting(
      name: "shared-port", arguments: ["2", "0"], ready: "loop 2 listens", farewell: "loop 2 served 0", answers: true),
    Lasting(name: "port-forwarder", arguments: ["0", "127.0.0.1", "1"], ready: "forwarding"),
    Lasting(
      name: "supervisor", arguments: ["sh", "-c", "echo up; exec sleep 1000"], ready: "up", farewell: "was stopped"),
    Lasting(name: "worker-pool", arguments: ["2"], input: "echo up\nexec sleep 1000\n", ready: "up"),
    Lasting(name: "signal-handlers", ready: "The loop runs", farewell: "exit", answers: true),
    Lasting(name: "display-date", ready: "20"),
    Lasting(name: "graceful-server", arguments: ["0", "60"], ready: "serving on", farewell: "0 answered, 0 cut off"),
    Lasting(name: "graceful-restart", arguments: ["0"], ready: "serving"),
  ]

  /// One that ends by itself, and what it prints.
  static let ending: [(name: String, arguments: [String], input: String, output: [String])] = [
    ("hello-world", [], "", ["Hello World"]),
    ("watch-descriptor", [], "", ["Received: abc"]),
    ("display-date", [], "", ["20"]),
    ("shell-pipeline", ["1"], "one two\nTwo; three\n", ["2 two"]),
    ("worker-pool", ["2"], "echo one\nexit 3\n", ["echo one: one", "exit 3: status 3"]),
    ("cpu-bound", ["1000"], "", ["on the loop: 168 primes", "processes: 168 primes", "its process ended"]),
    ("virtual-time", [], "", ["61.0 seconds: Connection refused, again in 30.0 seconds", "91.0 seconds: connected"]),
    ("chat-under-partitions", ["20"], "", ["20 conversations"]),
    ("lost-wake-up", [], "", ["found, after", "waits in Future.value"]),
    ("tour", [], "", ["steps passed"]),
  ]

  /// Those that need a peer have tests of their own.
  static let withPeers: Set = ["https-client", "udp-echo-client", "crawler"]

  @Test("the HTTP server answers requests in a row, in pieces, bad ones, and those of curl")
  func httpServer() throws {
    try runExamples { loop in
      let run = try await ExampleRun(loop, "http-server", [])
      let port = try await run.port(inLineContaining: "listening on")
      let curl = try await loop.createSubprocessExec(
        "curl", ["-s", "-i", "http://127.0.0.1:\(port)/", "http://127.0.0.1:\(port)/again"],
        stdout: .pipe)
      let (answers, _) = try await curl.communicate()
      let text = String(decoding: answers ?? [], as: UTF8.self)
      #expect(text.components(separatedBy: "HTTP/1.1 200 OK\r\n").count == 3)
      #expect(text.components(separatedBy: "\r\n\r\nhello, world\n").count == 3)

      func ask(_ pieces: [String]) async throws -> [String] {
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
        for piece in pieces {
          try await writer.send(piece)
        }
        writer.writeEOF()
        let answer = String(decoding: try await reader.read(), as: UTF8.self)
        writer.close()
        return answer.matches(of: /HTTP\/1.1 (\d+)/).map { String($0.1) }
      }
      let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      #expect(try await ask([get + get + get]) == ["200", "200", "200"])
      #expect(try await ask(["GET / HT", "TP/1.1\r\nHo", "st: a\r", "\n\r\n"]) == ["200"])
      #expect(try await ask(["POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" + get]) == ["200", "200"])
      #expect(try await ask(["GET / HTTP/1.0\r\n\r\n" + get]) == ["200"])
      #expect(try await ask(["GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + get]) == ["200"])
      #expect(try await ask(["nonsense\r\n\r\n" + get]) == ["400"])
      #expect(try await ask(["GET / HTTP/1.1\r\nno colon\r\n\r\n"]) == ["400"])
      #expect(try await ask(["POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n"]) == ["400"])
      #expect(try await ask(["POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"]) == ["413"])
      #expect(try await ask(["POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]) == ["501"])
      #expect(try await ask(["GET / HTTP/1.1\r\nA: " + String(repeating: "a", count: 20_000)]) == ["431"])
      #expect(try await ask(["GET / HTTP/1.1\r\n"]) == [], "an unfinished request has no answer")
      try run.send(.terminate)
      _ = try await run.end()
    }
  }

  @Test("every example of the package is run")
  func completeness() throws {
    let manifest = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../Package.swift")
    let text = try String(contentsOf: manifest, encoding: .utf8)
    let names = text.matches(of: /\.example\("([a-z-]+)"/).map { String($0.1) }
    let run = Set(ExampleTests.lasting.map(\.name)).union(ExampleTests.ending.map(\.name)).union(ExampleTests.withPeers)
    #expect(names.count > 10 && Set(names) == run)
  }

  @Test(
    "one that goes on ends by SIGINT or SIGTERM, as its shell expects it, and without a word about errors",
    arguments: lasting, [Signal.interrupt, .terminate])
  func interrupted(_ example: Lasting, _ signal: Signal) throws {
    try runExamples { loop in
      let run = try await ExampleRun(loop, example.name, example.arguments)
      run.type(example.input)
      try await run.line(containing: example.ready)
      try run.send(signal)
      let end = try await run.end()
      #expect(end.code == (example.answers ? 0 : -signal.rawValue))
      #expect(end.errors == "")
      #expect(example.farewell.isEmpty || end.output.contains(example.farewell))
    }
  }

  @Test("one that ends by itself does, with status 0 and nothing but what it says", arguments: ending.indices)
  func ends(_ index: Int) throws {
    let (name, arguments, input, output) = ExampleTests.ending[index]
    try runExamples { loop in
      let run = try await ExampleRun(loop, name, arguments)
      let (text, errors) = try await run.process.communicate(input: input)
      #expect(run.process.returnCode == 0, "\(name)")
      for part in output { #expect(String(decoding: text ?? [], as: UTF8.self).contains(part), "\(name)") }
      #expect(String(decoding: errors ?? [], as: UTF8.self) == "", "\(name)")
    }
  }

  @Test("one that cannot do what it is told says so in a sentence", arguments: ["port-forwarder", "graceful-server"])
  func portInUse(_ name: String) throws {
    try runExamples { loop in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { _, _ in }
      let run = try await ExampleRun(
        loop, name, ["\(server.port)"] + (name == "port-forwarder" ? ["127.0.0.1", "1"] : []))
      let end = try await run.end()
      #expect(end.code == 1 && end.output == "")
      #expect(end.errors == "\(name): bind 127.0.0.1:\(server.port): Address already in use (EADDRINUSE)\n")
      server.close()
    }
  }

  @Test("a second signal ends a supervisor whose program does not listen")
  func impatientSupervisor() throws {
    try runExamples { loop in
      // It says that it was asked to end, and ends with its input, which it has from us.
      let program = "exec 3<&0; trap 'echo asked' TERM; cat <&3 & echo up; wait $!; wait $!"
      let run = try await ExampleRun(loop, "supervisor", ["sh", "-c", program])
      try await run.line(containing: "up")
      try run.send(.terminate)
      // Two signals of which the first was not handled yet are one.
      try await run.line(containing: "asked")
      try run.send(.terminate)
      #expect(try await run.process.wait() == -Signal.terminate.rawValue)
      run.process.stdin?.close()
      let end = try await run.end()
      #expect(!end.output.contains("was stopped"))
    }
  }
}
