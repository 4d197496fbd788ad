// SPDX-License-Identifier: Apache-2.0

/// The choices of a run: who has the next turn, how much a call does, how long a packet takes.
///
/// Each has a number, and what is drawn for it depends on the seed and that number alone. From some number on they may take
/// their natural course: in order, whole, as fast as it can be. So a failing run can be made simpler from its end on.
struct Choices {
  private var generator: SeededGenerator
  /// How many are drawn, of the first.
  private let limit: Int
  /// How many there were.
  private(set) var count = 0

  init(seed: UInt64, limit: Int) {
    // Apart from the numbers that the test draws by itself, which begin with the seed.
    generator = SeededGenerator(seed: SeededGenerator.mix(seed ^ 0x6368_6f69_6365))
    self.limit = limit
  }

  /// Whether the next one is drawn.
  var areDrawn: Bool { count < limit }

  private mutating func next() -> UInt64? {
    count += 1
    return count <= limit ? generator.next() : nil
  }

  /// A number below the bound, by nature the first.
  mutating func below(_ bound: Int) -> Int {
    guard bound > 1, let bits = next() else { return 0 }
    return SeededGenerator.scale(bits, below: bound)
  }

  /// A number in the range, by nature the least.
  mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    if range.lowerBound == range.upperBound { return range.lowerBound }
    return range.lowerBound + Int64(below(Int(range.upperBound - range.lowerBound) + 1))
  }

  /// How much of what could be done is done: by nature all, else some of it in one case of four.
  mutating func share(of count: Int) -> Int {
    guard count > 1, let bits = next(), SeededGenerator.scale(bits, below: 4) == 0 else { return count }
    return 1 + below(count)
  }

  /// Whether something happens that has the probability; by nature it does not.
  mutating func chance(_ probability: Double) -> Bool {
    guard probability > 0, let bits = next() else { return false }
    return SeededGenerator.strikes(bits, probability)
  }

  /// Puts the first so many of some things in any order, out of all.
  mutating func shuffle<Element>(_ things: inout [Element], first limit: Int) {
    guard things.count > 1 else { return }
    for place in 0..<min(limit, things.count - 1) {
      things.swapAt(place, place + below(things.count - place))
    }
  }

  /// Decides among what happens at one moment; by nature nothing, so that the order of scheduling does.
  mutating func tieBreak() -> UInt64 { next() ?? 0 }
}
