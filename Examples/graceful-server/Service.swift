// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Serves until the task is cancelled, and then in good order to the end.
func serve(
  _ loop: EventLoop, host: String, port: Int, gracePeriod: Duration, say: (String) -> Void
) async throws {
  let service = Service(loop)
  let server = try await loop.startServer(host: host, port: port) { reader, writer in
    // A client that is gone is no error of ours, and neither is one that we have cut off.
    do { try await service.serve(reader, writer) } catch is IOError, is TimeoutError, is LineTooLongError {}
  }
  say("serving on http://\(host):\(server.port)/")
  defer { say(service.summary) }
  try await loop.withServer(server, gracePeriod: gracePeriod) { server in
    defer {
      server.close()
      say("ending: \(service.end()) under way")
    }
    try await server.waitClosed()
  }
}

/// What the server's connections share.
final class Service {
  private let loop: EventLoop
  private var isEnding = false
  /// The connections that wait for a request.
  private var idle: [StreamWriter] = []
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
  ///
  /// - Returns: how many requests are under way.
  func end() -> Int {
    isEnding = true
    for writer in idle { writer.close() }
    last = underWay
    answered = 0
    return last
  }

  var summary: String { "\(answered) answered, \(last - answered) cut off" }

  /// The path of the next request; nil when the client has no more.
  private func nextRequest(_ reader: StreamReader, _ writer: StreamWriter) async throws -> String? {
    idle.append(writer)
    defer { idle.removeAll { $0 === writer } }
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
