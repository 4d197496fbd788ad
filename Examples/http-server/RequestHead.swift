// SPDX-License-Identifier: Apache-2.0

/// What the server wants to know of a request.
struct RequestHead {
  var isHead = false
  var keepsAlive = true
  var bodyLength = 0

  enum Parsed {
    /// The head goes on in bytes that have not come yet.
    case incomplete
    /// The head, and how many bytes it takes.
    case whole(RequestHead, Int)
    /// Why it cannot be served.
    case bad(String)
  }

  static func parse(_ bytes: Span<UInt8>) -> Parsed {
    guard var end = endOfLine(bytes, from: 0) else { return .incomplete }
    var head = RequestHead()
    // Such as "GET /path HTTP/1.1".
    let version = end - 8
    guard version > 4, bytes[version - 1] == space, matches(bytes, version, "http/1.") else {
      return .bad("400 Bad Request")
    }
    head.isHead = matches(bytes, 0, "head ")
    head.keepsAlive = bytes[end - 1] != UInt8(ascii: "0")
    while true {
      let start = end + 2
      guard let next = endOfLine(bytes, from: start) else { return .incomplete }
      if next == start { return .whole(head, next + 2) }
      guard let colon = (start..<next).first(where: { bytes[$0] == UInt8(ascii: ":") }), colon > start else {
        return .bad("400 Bad Request")
      }
      if matches(bytes, start, "content-length:") {
        guard let length = number(bytes, colon + 1, next) else { return .bad("400 Bad Request") }
        head.bodyLength = length
      } else if matches(bytes, start, "transfer-encoding:") {
        return .bad("501 Not Implemented")
      } else if matches(bytes, start, "connection:") {
        var value = colon + 1
        while value < next, bytes[value] == space { value += 1 }
        if matches(bytes, value, "close") { head.keepsAlive = false }
        if matches(bytes, value, "keep-alive") { head.keepsAlive = true }
      }
      end = next
    }
  }

  /// Where the next "\r\n" is.
  private static func endOfLine(_ bytes: Span<UInt8>, from start: Int) -> Int? {
    var index = start
    while index + 1 < bytes.count {
      if bytes[index] == UInt8(ascii: "\r"), bytes[index + 1] == UInt8(ascii: "\n") { return index }
      index += 1
    }
    return nil
  }

  /// Whether a text in lower case is there, in whatever case.
  private static func matches(_ bytes: Span<UInt8>, _ start: Int, _ text: StaticString) -> Bool {
    guard start + text.utf8CodeUnitCount <= bytes.count else { return false }
    return text.withUTF8Buffer { text in
      for offset in 0..<text.count {
        let byte = bytes[start + offset]
        let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
        if (isUpper ? byte | 0x20 : byte) != text[offset] { return false }
      }
      return true
    }
  }

  private static func number(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var value = 0
    var digits = 0
    for index in start..<end where bytes[index] != space {
      guard bytes[index] >= UInt8(ascii: "0"), bytes[index] <= UInt8(ascii: "9"), digits < 12 else { return nil }
      value = value * 10 + Int(bytes[index] - UInt8(ascii: "0"))
      digits += 1
    }
    return digits > 0 ? value : nil
  }
}

private let space = UInt8(ascii: " ")
