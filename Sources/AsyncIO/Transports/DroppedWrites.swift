// SPDX-License-Identifier: Apache-2.0

/// Counts what was written to a transport that cannot send it any more.
///
/// A few such writes are what happens when a peer leaves; a program that goes on and on has not noticed. It is told once,
/// since it may do so for as long as it lives.
struct DroppedWrites {
  /// How many go without a word.
  static let tolerance: UInt8 = 4

  private var count: UInt8 = 0

  /// Notes one more.
  ///
  /// - Returns: whether it is the one to warn of.
  mutating func isWorthAWarning() -> Bool {
    if count > DroppedWrites.tolerance { return false }
    count += 1
    return count > DroppedWrites.tolerance
  }
}
