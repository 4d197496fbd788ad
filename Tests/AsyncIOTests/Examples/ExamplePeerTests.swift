// SPDX-License-Identifier: Apache-2.0
import AsyncIOTLS
import Foundation
import Testing

@testable import AsyncIO

/// The examples that talk to somebody, with somebody to talk to.
@Suite("Examples with peers") struct ExamplePeerTests {
  /// A server of pages. A handler of its own answers a path, and may do so as badly as it likes.
  private func site(
    _ loop: EventLoop, tls: TLSContext? = nil, _ answer: @escaping (String, StreamWriter) async throws -> Void
  ) async throws -> Server {
    try await loop.startServer(host: "127.0.0.1", port: 0, tls: tls.map { .server($0) }) { reader, writer in
      let words = String(decoding: try await reader.readLine(), as: UTF8.self).split(separator: " ")
      while try await reader.readLine().count > 2 {}
      // Whoever gives up has had enough.
      do { try await answer(words.count > 1 ? String(words[1]) : "", writer) } catch is IOError {}
    }
  }

  private func page(_ status: Int, _ headers: String..., body: String = "") -> String {
    (["HTTP/1.1 \(status) X", "Content-Length: \(body.utf8.count)"] + headers + ["", body]).joined(separator: "\r\n")
  }

  private let html = "Content-Type: text/html"

  private func crawl(_ loop: EventLoop, _ server: Server, _ arguments: String...) async throws -> ExampleRun {
    try await ExampleRun(loop, "crawler", ["http://127.0.0.1:\(server.port)"] + arguments)
  }

  @Test("crawler: each page of the site once, and no other site's")
  func pages() throws {
    try runExamples { loop in
      var asked: [String] = []
      let server = try await site(loop) { [self] path, writer in
        asked.append(path)
        switch path {
        case "/":
          let links = ["a", "/a", "./a#part", "b/", "http://127.0.0.1:1/", "mailto:a@b", "//[", "b/../c?x=1&amp;y=2"]
          writer.write(page(200, html, body: links.map { "<a HREF='\($0)'>" }.joined(separator: "\n")))
        case "/a": writer.write(page(200, "Content-Type: text/plain", body: "<a href='/not-a-link'>"))
        case "/b/": writer.write(page(200, html, body: "<a href=\"../\"> <a href=\"d\"> <a href=\"/open"))
        case "/b/d":
          writer.write(
            "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\(html)\r\n\r\n8\r\n<a href=\r\n4\r\n'/e'\r\n0\r\n\r\n")
        case "/e": writer.write("HTTP/1.0 200 OK\r\n\r\nto the end")
        default: writer.write(page(404))
        }
      }
      let end = try await crawl(loop, server).end()
      #expect(asked.sorted() == ["/", "/a", "/b/", "/b/d", "/c?x=1&y=2", "/e"])
      #expect(end.output.contains("200 /e 10 bytes") && end.output.contains("404 /c?x=1&y=2"))
      #expect(end.output.contains("5 pages, 1 failed"))
      #expect(end.code == 0 && end.errors == "")
      server.close()
    }
  }

  @Test("crawler: no server has it hang, go in circles, fill the memory or write to the terminal")
  func hostileSite() throws {
    let pages = [
      "endless": "too many", "silent": "more than", "drip": "more than", "circle": "302 /circle",
      "chain/0": "302 /chain/9",
      "headers": "headers", "line": "beyond the limit", "length": "no number", "chunk": "too many",
      "short": "3 bytes of 100",
      "nothing": "ended", "escape": "no answer",
    ]
    try runExamples { [self] loop in
      let server = try await site(loop) { [self] path, writer in
        switch path {
        case "/":
          writer.write(page(200, html, body: pages.keys.map { "<a href=\"\($0)\">" }.joined()))
        case "/endless":
          writer.write("HTTP/1.1 200 OK\r\n\r\n")
          while true { try await writer.send([UInt8](repeating: 120, count: 65536)) }
        case "/silent": try await loop.sleep(for: .seconds(1000))
        case "/drip":
          writer.write("HTTP/1.1 200 OK\r\n\r\n")
          while true {
            try await writer.send("x")
            try await loop.sleep(for: .milliseconds(20))
          }
        case "/circle": writer.write(page(302, "Location: /circle2"))
        case "/circle2": writer.write(page(302, "Location: circle"))
        case let path where path.hasPrefix("/chain/"):
          writer.write(page(302, "Location: \((Int(path.dropFirst(7)) ?? 0) + 1)"))
        case "/headers":
          writer.write("HTTP/1.1 200 OK\r\n")
          while true { try await writer.send(String(repeating: "A: b\r\n", count: 1000)) }
        case "/line": try await writer.send("HTTP/1.1 200 OK\r\n" + String(repeating: "x", count: 200_000))
        case "/length": writer.write("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n")
        case "/chunk":
          writer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n")
        case "/short": writer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        case "/nothing": break
        default: writer.write("\u{1B}[2J\u{1B}[31m\r\n\r\n")
        }
      }
      let end = try await crawl(loop, server, "--limit", "0.3", "--retries", "0").end()
      for (name, text) in pages {
        #expect(end.output.split(separator: "\n").contains { $0.contains(" /\(name)") || $0.contains(text) }, "\(name)")
        #expect(end.output.contains(text), "\(name)")
      }
      #expect(!end.output.contains("/chain/12") && !end.output.contains("\u{1B}"))
      #expect(end.code == 0 && end.errors == "")
      server.abortClients()
      server.close()
    }
  }

  @Test("crawler: so many at a time, so many attempts, and so many pages")
  func limits() throws {
    try runExamples { [self] loop in
      var atWork = 0
      var most = 0
      var attempts = 0
      let server = try await site(loop) { [self] path, writer in
        atWork += 1
        most = max(most, atWork)
        try await loop.sleep(for: .milliseconds(5))
        atWork -= 1
        switch path {
        case "/": writer.write(page(200, html, body: (0..<20).map { "<a href='\($0)'>" }.joined()))
        case "/0":
          attempts += 1
          writer.write(page(attempts == 3 ? 200 : 503))
        default: writer.write(page(200))
        }
      }
      let end = try await crawl(loop, server, "--tasks", "3", "--retries", "2", "--pages", "10").end()
      #expect(most == 3 && attempts == 3)
      #expect(end.output.contains("200 /0 0 bytes, tried 3 times"))
      #expect(end.output.contains("10 pages, 0 failed") && end.output.contains("left out: 11"))
      server.close()
    }
  }

  @Test(
    "crawler: a signal ends it in the middle of a page, and it says what there was",
    arguments: [Signal.interrupt, .terminate])
  func interruptedCrawl(_ signal: Signal) throws {
    try runExamples { [self] loop in
      let server = try await site(loop) { [self] path, writer in
        if path == "/" { return writer.write(page(200, html, body: "<a href=silent><a href='silent'>")) }
        try await loop.sleep(for: .seconds(1000))
      }
      let run = try await crawl(loop, server)
      try await run.line(containing: "200 /")
      try await loop.until { server.connectionCount == 1 }
      try run.send(signal)
      let end = try await run.end()
      #expect(end.code == -signal.rawValue && end.errors == "" && end.output.contains("1 pages, 0 failed"))
      server.close()
    }
  }

  @Test("graceful-server: answers what is under way, ends who waits, cuts off the rest, and says how many")
  func gracefulServer() throws {
    try runExamples { loop in
      let run = try await ExampleRun(loop, "graceful-server", ["0", "2"])
      let port = try await run.port(inLineContaining: "serving on")
      func client(_ path: String) async throws -> (reader: StreamReader, writer: StreamWriter) {
        let client = try await loop.openConnection(host: "127.0.0.1", port: port)
        try await client.writer.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
        return client
      }
      let idle = try await client("/0")
      #expect(try await idle.reader.readUntil(Array("done after 0 s\n".utf8)).count > 0)
      let quick = try await client("/1")
      let slow = try await client("/3000")
      // Its answer is behind those two requests in no queue; but who is served in between tells that they have begun.
      let last = try await client("/0")
      _ = try await last.reader.readUntil(Array("done after 0 s\n".utf8))
      try run.send(.terminate)
      try await run.line(containing: "ending: 2 under way")
      #expect(try await idle.reader.read() == [])
      #expect(String(decoding: try await quick.reader.read(), as: UTF8.self).hasSuffix("close\r\n\r\ndone after 1 s\n"))
      #expect(try await slow.reader.read() == [])
      let end = try await run.end()
      #expect(end.output.contains("1 answered, 1 cut off") && end.errors == "")
      #expect(end.code == -Signal.terminate.rawValue)
    }
  }

  @Test(
    "graceful-server: a second signal ends it at once; nothing that a client sends does",
    arguments: [Signal.interrupt, .terminate])
  func impatience(_ signal: Signal) throws {
    try runExamples { loop in
      let run = try await ExampleRun(loop, "graceful-server", ["0", "3000"])
      let port = try await run.port(inLineContaining: "serving on")
      let nonsense: [[UInt8]] = [
        Array("GET /nan HTTP/1.1\r\n\r\n".utf8), Array("GET /-99999999999999999999 HTTP/1.1\r\n\r\n".utf8),
        Array("\r\n\r\n".utf8), Array((0...255)), Array("GET\r\n".utf8), [UInt8](repeating: 65, count: 300_000),
      ]
      for bytes in nonsense {
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
        writer.write(bytes)
        writer.writeEOF()
        _ = try? await reader.read()
        writer.close()
      }
      let (_, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      try await writer.send("GET /3000 HTTP/1.1\r\n\r\n")
      let (reader, other) = try await loop.openConnection(host: "127.0.0.1", port: port)
      try await other.send("GET /0 HTTP/1.1\r\n\r\n")
      _ = try await reader.readUntil(Array("done after".utf8))
      try run.send(signal)
      try await run.line(containing: "ending: 1 under way")
      try run.send(signal)
      let end = try await run.end()
      #expect(end.code == -signal.rawValue && end.errors == "" && !end.output.contains("cut off"))
    }
  }

  @Test("udp-echo-client gets back from udp-echo-server what it sends")
  func datagrams() throws {
    try runExamples { loop in
      let server = try await ExampleRun(loop, "udp-echo-server", ["0"])
      let port = try await server.port(inLineContaining: "serving on")
      let end = try await ExampleRun(loop, "udp-echo-client", ["\(port)"]).end()
      #expect(end.output == "sending: Hello World!\n12 bytes came back\n" && end.code == 0 && end.errors == "")
      try await server.line(containing: "received 12 bytes")
      try server.send(.terminate)
      #expect(try await server.end().code == -Signal.terminate.rawValue)
    }
  }

  @Test("port-forwarder forwards both ways, half closes included")
  func forwarding() throws {
    try runExamples { loop in
      let target = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        let text = try await reader.read()
        try await writer.send(Array(text.reversed()))
      }
      let run = try await ExampleRun(loop, "port-forwarder", ["0", "127.0.0.1", "\(target.port)"])
      let port = try await run.port(inLineContaining: "forwarding")
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      let bytes = pattern(1_000_000)
      writer.write(bytes)
      writer.writeEOF()
      #expect(try await reader.read() == bytes.reversed())
      try run.send(.interrupt)
      #expect(try await run.end().code == -Signal.interrupt.rawValue)
      target.close()
    }
  }

  @Test("https-client prints a page; a signal ends one that waits for it")
  func encrypted() throws {
    try runExamples { [self] loop in
      let server = try await site(loop, tls: serverTLS()) { [self] path, writer in
        if path == "/page" { return writer.write(page(200, body: "hello")) }
        try await loop.sleep(for: .seconds(1000))
      }
      let arguments = ["localhost", "--port", "\(server.port)", "--roots", try TestCertificates.path("ca.pem")]
      let end = try await ExampleRun(loop, "https-client", arguments + ["/page"]).end()
      #expect(end.output.contains("TLS") && end.output.hasSuffix("hello\n") && end.code == 0 && end.errors == "")
      let waiting = try await ExampleRun(loop, "https-client", arguments + ["/silent"])
      try await loop.until { server.connectionCount == 1 }
      try waiting.send(.interrupt)
      #expect(try await waiting.end().code == -Signal.interrupt.rawValue)
      server.close()
    }
  }
}
