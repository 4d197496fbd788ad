// SPDX-License-Identifier: Apache-2.0

extension StreamReader: AsyncSequence {
  /// The stream in the pieces in which it arrives, up to its end.
  public struct AsyncIterator: AsyncIteratorProtocol {
    @usableFromInline let reader: StreamReader

    /// The next piece; nil at the end of the stream.
    @inlinable
    public mutating func next() async throws -> [UInt8]? {
      try await next(isolation: #isolation)
    }

    /// The next piece; nil at the end of the stream.
    @inlinable
    public mutating func next(isolation actor: (any Actor)?) async throws -> [UInt8]? {
      let request = ReadRequest.some(StreamReader.defaultLimit)
      if let piece = try reader.receiveNow(request, "StreamReader.read") { return piece.isEmpty ? nil : piece }
      return try await reader.receive(request, "StreamReader.read")
    }
  }

  /// Iterates over the pieces in which the stream arrives.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: self) }

  /// The stream's lines as text, without their line ends (`\n` or `\r\n`), up to the end of the stream.
  public var lines: Lines { Lines(reader: self) }

  /// The lines of a stream.
  public struct Lines: AsyncSequence {
    let reader: StreamReader

    /// Iterates over lines.
    public struct AsyncIterator: AsyncIteratorProtocol {
      let reader: StreamReader

      /// The next line; nil at the end of the stream.
      public mutating func next() async throws -> String? {
        try await next(isolation: nil)
      }

      /// The next line; nil at the end of the stream.
      public mutating func next(isolation actor: (any Actor)?) async throws -> String? {
        var line = try await reader.readLine()
        if line.isEmpty { return nil }
        if line.last == UInt8(ascii: "\n") {
          line.removeLast()
          if line.last == UInt8(ascii: "\r") { line.removeLast() }
        }
        return String(decoding: line, as: UTF8.self)
      }
    }

    /// Iterates over the stream's lines.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: reader) }
  }
}
