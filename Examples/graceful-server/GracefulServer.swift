// SPDX-License-Identifier: Apache-2.0
// A web server that ends in good order. On Ctrl-C or SIGTERM it takes no more connections and ends those that wait for a
// request, answers within some seconds the requests that are under way, and cuts off what is left then. A second signal ends
// it at once.
// Try: graceful-server 8080 5, then in another terminal: curl localhost:8080/3, which is answered after three seconds.
import AsyncIO
import Glibc

@main
struct GracefulServer {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst().map { Int($0) }
    let port = arguments.first ?? 8080
    let seconds = arguments.dropFirst().first ?? 5
    guard let port, let seconds, arguments.count <= 2 else {
      print("usage: graceful-server [PORT] [SECONDS]")
      exit(2)
    }
    EventLoop.main { loop in
      let service = Service(loop)
      let server = try await loop.startServer(host: "127.0.0.1", port: port) { reader, writer in
        // A client that is gone is no error of ours, and neither is one that we have cut off.
        do { try await service.serve(reader, writer) } catch is IOError, is TimeoutError, is LineTooLongError {}
      }
      say("serving on http://127.0.0.1:\(server.port)/")
      defer { service.summarize() }
      try await loop.withServer(server, gracePeriod: .seconds(seconds)) { server in
        defer {
          server.close()
          service.end()
        }
        try await server.waitClosed()
      }
    }
  }
}

/// What the server's connections share.
final class Service {
  private let loop: EventLoop
  private var isEnding = false
  /// The connections that wait for a request.
  private var idle: [ObjectIdentifier: StreamWriter] = [:]
  private var underWay = 0
  private var answered = 0
  /// The requests that were under way when the end began.
  private var last = 0

  init(_ loop: EventLoop) { self.loop = loop }

  /// Answers one request after the other, as long as the client wants.
  func serve(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    while !isEnding, let path = try await nextRequest(reader, writer) {
      underWay += 1
      defer { underWay -= 1 }
      let text = "\(try await work(path))\n"
      try await writer.send(
        """
        HTTP/1.1 200 OK\r
        Content-Length: \(text.utf8.count)\r
        Connection: \(isEnding ? "close" : "keep-alive")\r
        \r
        \(text)
        """)
      answered += 1
    }
  }

  /// Ends the connections that wait for a request, and each other one after its answer.
  func end() {
    isEnding = true
    for writer in idle.values { writer.close() }
    last = underWay
    answered = 0
    say("ending: \(last) under way")
  }

  func summarize() { say("\(answered) answered, \(last - answered) cut off") }

  /// The path of the next request; nil when the client has no more.
  private func nextRequest(_ reader: StreamReader, _ writer: StreamWriter) async throws -> String? {
    idle[ObjectIdentifier(writer)] = writer
    defer { idle[ObjectIdentifier(writer)] = nil }
    // Who keeps silent, or speaks slowly, does not keep a connection.
    return try await loop.withTimeout(.seconds(30)) {
      var lines = reader.lines.makeAsyncIterator()
      // As in `GET /path HTTP/1.1`; what the headers say does not matter here.
      guard let words = try await lines.next()?.split(separator: " "), words.count == 3, words[0] == "GET" else {
        return nil
      }
      while let header = try await lines.next() {
        if header.isEmpty { return String(words[1]) }
      }
      return nil
    }
  }

  /// Stands for work that takes its time: as many seconds as the path says.
  private func work(_ path: String) async throws -> String {
    let seconds = min(max(Int(path.dropFirst()) ?? 0, 0), 3600)
    try await loop.sleep(for: .seconds(seconds))
    return "done after \(seconds) s"
  }
}

/// Prints at once, also into a pipe.
func say(_ text: String) {
  print(text)
  fflush(nil)
}
