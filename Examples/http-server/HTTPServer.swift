// SPDX-License-Identifier: Apache-2.0
// Answers every HTTP/1.1 request with a line of text. Connections stay open, and requests may come in a row.
// Try: http-server 8080, then: curl -i http://127.0.0.1:8080/
import AsyncIO

@main
enum HTTPServer {
  static func main() {
    EventLoop.main { loop in
      let port = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "0"
      let clock = HTTPDate(loop)
      let server = try await loop.startServer(host: "127.0.0.1", port: port, backlog: 1024) { reader, writer in
        try await serve(reader, writer, clock)
      }
      say("listening on 127.0.0.1:\(server.port)")
      try await server.serveForever()
    }
  }

  /// How long the head of a request may be, and a body that nobody wants.
  static let longestHead = 16 * 1024
  static let longestBody = 1024 * 1024

  /// Answers a connection's requests, one after another.
  static func serve(_ reader: StreamReader, _ writer: StreamWriter, _ clock: HTTPDate) async throws {
    do {
      try await answerAll(reader, writer, clock)
    } catch is IncompleteReadError {
      // The client went away in the middle of a request.
    } catch is IOError {
      // Or it has reset the connection, as load generators do at their end.
    }
  }

  private static func answerAll(_ reader: StreamReader, _ writer: StreamWriter, _ clock: HTTPDate) async throws {
    while true {
      var head = RequestHead.Parsed.incomplete
      var needed = 1
      // The head is looked at where it lies. As long as it is not whole, more than what has been seen is asked for.
      while case .incomplete = head {
        let hasBytes = try await reader.withBytes(atLeast: needed) { bytes in
          head = RequestHead.parse(bytes)
          needed = bytes.count + 1
          switch head {
          case .whole(_, let length): return length
          case .incomplete where bytes.count > longestHead:
            head = .bad("431 Request Header Fields Too Large")
            return 0
          case .incomplete, .bad: return 0
          }
        }
        guard hasBytes else { return }
      }
      guard case .whole(let request, _) = head else {
        if case .bad(let status) = head { try await refuse(status, writer, clock) }
        return
      }
      if request.bodyLength > longestBody { return try await refuse("413 Content Too Large", writer, clock) }
      if request.bodyLength > 0 { _ = try await reader.readExactly(request.bodyLength) }
      try await writer.send(clock.answer(to: request))
      if !request.keepsAlive { return }
    }
  }

  private static func refuse(_ status: String, _ writer: StreamWriter, _ clock: HTTPDate) async throws {
    try await writer.send("HTTP/1.1 \(status)\r\nDate: \(clock.now)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
  }
}
