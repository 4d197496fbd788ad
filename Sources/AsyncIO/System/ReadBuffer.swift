// SPDX-License-Identifier: Apache-2.0

/// Where a loop's reads land: memory that is touched only as far as data arrives.
///
/// A loop makes one read at a time and hands its bytes out before the next one, so that nobody can see them change.
@safe
struct ReadBuffer: ~Copyable {
  /// Ours from `init` to `deinit`.
  private let bytes: UnsafeMutableBufferPointer<UInt8>

  init(capacity: Int) {
    unsafe bytes = .allocate(capacity: capacity)
  }

  deinit { unsafe bytes.deallocate() }

  /// Has a call fill the buffer from its start.
  ///
  /// - Returns: what the call does: how many bytes it put there.
  @inline(__always)
  func fill<Answer, Failure: Error>(
    _ call: (inout MutableSpan<UInt8>) throws(Failure) -> Answer
  ) throws(Failure) -> Answer {
    var span = unsafe MutableSpan(_unsafeElements: bytes)
    return try call(&span)
  }

  /// Lends the first bytes, which the last `fill` put there.
  func withPrefix<R>(_ count: Int, _ body: (Span<UInt8>) throws -> R) rethrows -> R {
    try body(unsafe Span(_unsafeElements: UnsafeBufferPointer(rebasing: bytes[..<count])))
  }
}
