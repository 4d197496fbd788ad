// SPDX-License-Identifier: Apache-2.0

extension [UInt8] {
  /// Lends the array's bytes to be changed. What a ``BufferedProtocol`` needs for a buffer that it keeps in an array.
  public mutating func withMutableSpan<R, E: Error>(
    _ body: (inout MutableSpan<UInt8>) throws(E) -> R
  ) throws(E) -> R {
    var span = mutableSpan
    return try body(&span)
  }

  /// A copy of the span's bytes.
  package init(copying bytes: Span<UInt8>) {
    self = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
  }

  /// Appends a copy of the span's bytes.
  package mutating func append(copying bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
  }

  /// Moves bytes from the front to the span's start, as many as fit.
  ///
  /// - Returns: how many that were.
  mutating func moveFront(into target: inout MutableSpan<UInt8>) -> Int {
    let count = target.copyPrefix(of: span)
    removeFirst(count)
    return count
  }
}

extension MutableSpan<UInt8> {
  /// Copies bytes to the span's start, as many as fit.
  ///
  /// - Returns: how many that were.
  package mutating func copyPrefix(of bytes: Span<UInt8>) -> Int {
    let count = Swift.min(self.count, bytes.count)
    unsafe withUnsafeMutableBytes { target in
      unsafe bytes.withUnsafeBytes { source in
        // Both are at least `count` long, and an exclusive span overlaps with no other.
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<count]))
      }
    }
    return count
  }
}
