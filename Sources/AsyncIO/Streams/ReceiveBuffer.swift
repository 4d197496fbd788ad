// SPDX-License-Identifier: Apache-2.0

/// Bytes that have arrived and were not read yet.
struct ReceiveBuffer {
  private var bytes: [UInt8] = []
  /// Where the unread bytes begin.
  private var start = 0

  var count: Int { bytes.count - start }
  var isEmpty: Bool { count == 0 }
  /// Calls the closure with the unread bytes.
  func lend<Result>(_ body: (Span<UInt8>) throws -> Result) rethrows -> Result {
    try body(bytes.span.extracting(start...))
  }

  mutating func append(_ new: Span<UInt8>) {
    if bytes.isEmpty {
      bytes = [UInt8](copying: new)
    } else {
      bytes.append(copying: new)
    }
  }

  mutating func takeAll() -> [UInt8] {
    let all = start == 0 ? bytes : Array(bytes[start...])
    bytes = []
    start = 0
    return all
  }

  mutating func take(_ wanted: Int) -> [UInt8] {
    guard wanted < count else { return takeAll() }
    let taken = Array(bytes[start..<start + wanted])
    drop(wanted)
    return taken
  }

  mutating func drop(_ dropped: Int) {
    start += dropped
    if start == bytes.count {
      bytes = []
      start = 0
    } else if start > 4096, start > bytes.count / 2 {
      // Moving what is left costs no more than what was read since the last move.
      bytes.removeFirst(start)
      start = 0
    }
  }

  /// Where the separator begins, counted from the first unread byte, looked for from an offset on.
  func firstIndex(of separator: [UInt8], from offset: Int) -> Int? {
    guard let first = separator.first else { return nil }
    let unread = bytes.span.extracting(start...)
    var index = offset
    while index + separator.count <= unread.count {
      if unread[index] == first, (1..<separator.count).allSatisfy({ unread[index + $0] == separator[$0] }) {
        return index
      }
      index += 1
    }
    return nil
  }
}
