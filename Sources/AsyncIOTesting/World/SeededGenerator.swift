// SPDX-License-Identifier: Apache-2.0

/// A generator of numbers that look random and are the same for the same seed, on every machine and in every build:
/// SplitMix64 (Steele, Lea and Flood, 2014), which passes the usual tests of randomness, and whose neighbouring seeds give
/// unrelated numbers.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Begins with a seed.
  public init(seed: UInt64) { state = seed }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return SeededGenerator.mix(state)
  }

  /// A number from zero up to, but not including, the bound, which must be above zero.
  static func scale(_ bits: UInt64, below bound: Int) -> Int {
    // The high half of the product: nearly even, and cheaper than a division. What it is off by nobody can see.
    Int(bits.multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// Whether something happens that has the probability.
  static func strikes(_ bits: UInt64, _ probability: Double) -> Bool { Double(bits >> 11) * 0x1p-53 < probability }

  /// Scrambles 64 bits so that each of them depends on all.
  static func mix(_ bits: UInt64) -> UInt64 {
    var z = bits
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
