// SPDX-License-Identifier: Apache-2.0

extension StreamReader {
  /// Lends the bytes that are there, and waits until at least so many are: for parsers that copy nothing.
  ///
  /// A closure that needs more bytes than it was lent takes none, and asks for so many the next time: one that asked for no
  /// more would be called again at once.
  ///
  /// - Parameters:
  ///   - count: how many bytes there have to be, at least one.
  ///   - body: gets the bytes and answers how many of the first it has taken. The others stay, and are lent again with what
  ///     comes behind them.
  /// - Returns: false, without a call of the closure, when the stream has ended and nothing is left.
  /// - Throws: what the closure throws, and then nothing is taken; ``IncompleteReadError`` with what there was, when the stream
  ///   ends before there are as many; and as ``read(_:)``.
  @inlinable
  @discardableResult
  public func withBytes(atLeast count: Int = 1, _ body: (Span<UInt8>) throws -> Int) async throws -> Bool {
    while true {
      if let hasBytes = try lendNow(count, body) { return hasBytes }
      _ = try await receive(.atLeast(count), "StreamReader.withBytes")
    }
  }

  @usableFromInline
  func lendNow(_ count: Int, _ body: (Span<UInt8>) throws -> Int) throws -> Bool? {
    guard try receiveNow(.atLeast(count), "StreamReader.withBytes") != nil else { return nil }
    if buffer.isEmpty { return false }
    // The closure may feed the reader or read from it, and sees what was there when it was called.
    let lent = buffer
    let taken = try lent.lend(body)
    require(
      taken >= 0 && taken <= lent.count, "StreamReader.withBytes: the closure took \(taken) of \(lent.count) bytes")
    require(taken <= buffer.count, "StreamReader.withBytes: the closure read from the reader that lent it bytes")
    buffer.drop(taken)
    afterTaking()
    return true
  }
}
