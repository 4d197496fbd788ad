// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// How often what may go wrong does, each from 0 to 1.
public struct FaultRates: Hashable, Sendable {
  /// The share of system calls that a kernel refuses for the lack of something: memory, descriptors, buffers.
  public var refusals: Double
  /// The share of sends and receives of a stream at which its connection is reset.
  public var resets: Double
  /// The share of look-ups that find no name server.
  public var failedLookUps: Double

  /// Describes rates. Without arguments nothing goes wrong.
  public init(refusals: Double = 0, resets: Double = 0, failedLookUps: Double = 0) {
    self.refusals = refusals
    self.resets = resets
    self.failedLookUps = failedLookUps
  }

  /// Nothing goes wrong.
  public static let none = FaultRates()
  /// Something goes wrong every now and then.
  public static let some = FaultRates(refusals: 0.001, resets: 0.001, failedLookUps: 0.01)
}

/// Decides which of the things that may go wrong do.
///
/// Each opportunity has a number, and whether it is taken depends on the seed and that number alone. So a run can be repeated
/// with some of its faults left out, and the others still come where they came.
struct Faults {
  var rates = FaultRates.none
  private let seed: UInt64
  /// The only faults that may happen, by their numbers; nil for all.
  private let only: Set<Int>?
  private var opportunities = 0
  /// The numbers of the faults that have happened.
  private(set) var happened: [Int] = []

  init(seed: UInt64, only: Set<Int>?) {
    // Apart from other choices, which begin with the seed itself.
    self.seed = SeededGenerator.mix(seed ^ 0x6661_756c_7473)
    self.only = only
  }

  private mutating func strikes(_ rate: Double) -> UInt64? {
    guard rate > 0 else { return nil }
    opportunities += 1
    let bits = SeededGenerator.mix(seed &+ UInt64(opportunities) &* 0x9e37_79b9_7f4a_7c15)
    guard SeededGenerator.strikes(bits, rate), only?.contains(opportunities) ?? true else { return nil }
    happened.append(opportunities)
    return SeededGenerator.mix(bits)
  }

  /// What a call is refused with; nil when it is not.
  mutating func refusal(of call: KernelCall, _ host: SimulatedHost) -> Errno? {
    guard rates.refusals > 0, !host.isDirector, !call.refusals.isEmpty, let bits = strikes(rates.refusals) else {
      return nil
    }
    return call.refusals[Int(bits % UInt64(call.refusals.count))]
  }

  /// Whether a connection is reset.
  mutating func resets() -> Bool { strikes(rates.resets) != nil }

  /// Whether a look-up fails.
  mutating func failsLookUp() -> Bool { strikes(rates.failedLookUps) != nil }
}
