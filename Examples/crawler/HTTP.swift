// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Foundation

/// The answer to a request, as far as a crawler cares.
struct Response {
  let status: Int
  /// The names are in small letters.
  let headers: [String: String]
  let body: [UInt8]

  /// Where a redirection leads.
  var location: String? { (300..<400).contains(status) ? headers["location"] : nil }
  /// Whether it may be another one soon.
  var isTransient: Bool { status == 429 || (500..<600).contains(status) }
  var isHTML: Bool { headers["content-type"]?.lowercased().hasPrefix("text/html") ?? false }
}

/// What a server sent makes no sense, or is too much. Nothing of it is quoted: it may be meant for the terminal.
struct BadResponse: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// More of a page is not of interest, and would be kept in memory.
private let mostBytes = 4 << 20
private let mostHeaders = 100

/// Fetches a page, by HTTP/1.1 and a connection of its own.
///
/// It takes as long as the server does: set a limit.
func get(_ url: URL, on loop: EventLoop) async throws -> Response {
  let host = url.host() ?? ""
  let (reader, writer) = try await loop.openConnection(host: host, port: url.webPort)
  // Not needed any more, however this ends; what the server still sends is none of our concern.
  defer { writer.transport.abort() }
  let name = host.contains(":") ? "[\(host)]" : host
  try await writer.send(
    """
    GET \(url.target) HTTP/1.1\r
    Host: \(name):\(url.webPort)\r
    Connection: close\r
    \r

    """)
  let status = try await readStatus(reader)
  let headers = try await readHeaders(reader)
  return Response(status: status, headers: headers, body: try await readBody(reader, status, headers))
}

/// Reads `HTTP/1.1 200 OK`.
private func readStatus(_ reader: StreamReader) async throws -> Int {
  let line = try await readLine(reader)
  let words = line.split(separator: " ", maxSplits: 2)
  guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]), 100..<1000 ~= status else {
    throw BadResponse("no answer of HTTP/1.1")
  }
  return status
}

private func readHeaders(_ reader: StreamReader) async throws -> [String: String] {
  var headers: [String: String] = [:]
  for _ in 0..<mostHeaders {
    let line = try await readLine(reader)
    if line.isEmpty { return headers }
    let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw BadResponse("a header without a colon") }
    headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
  }
  throw BadResponse("more than \(mostHeaders) headers")
}

/// The next line without its end. The reader itself limits how long that may be.
private func readLine(_ reader: StreamReader) async throws -> String {
  let line = try await reader.readUntil()
  return String(decoding: line, as: UTF8.self).trimmingCharacters(in: .newlines)
}

private func readBody(_ reader: StreamReader, _ status: Int, _ headers: [String: String]) async throws -> [UInt8] {
  if status == 204 || status == 304 { return [] }
  if headers["transfer-encoding"]?.lowercased() == "chunked" { return try await readChunks(reader) }
  if let text = headers["content-length"] {
    guard let count = Int(text), count >= 0 else { throw BadResponse("a length that is no number") }
    guard count <= mostBytes else { throw BadResponse("\(count) bytes are too many") }
    return try await reader.readExactly(count)
  }
  var body: [UInt8] = []
  for try await chunk in reader {
    body += chunk
    guard body.count <= mostBytes else { throw BadResponse("more than \(mostBytes) bytes are too many") }
  }
  return body
}

/// Reads chunks: a line with the size in hexadecimal, so many bytes, an end of line; the last one is empty.
private func readChunks(_ reader: StreamReader) async throws -> [UInt8] {
  var body: [UInt8] = []
  while true {
    let line = try await readLine(reader)
    guard let count = Int(line.prefix { $0 != ";" }, radix: 16), count >= 0 else {
      throw BadResponse("a chunk's length that is no number")
    }
    if count == 0 { return body }
    guard count <= mostBytes - body.count else { throw BadResponse("more than \(mostBytes) bytes are too many") }
    body += try await reader.readExactly(count)
    guard try await readLine(reader).isEmpty else { throw BadResponse("a chunk without an end") }
  }
}
