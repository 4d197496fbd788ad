// SPDX-License-Identifier: Apache-2.0

/// How the way between two hosts is, in one direction.
public struct LinkConditions: Hashable, Sendable {
  /// How long a packet takes; drawn anew for each. A stream's bytes stay in order all the same, and datagrams may overtake
  /// one another.
  public var latency: ClosedRange<Duration>
  /// How many bytes it carries in a second; nil for any number.
  public var bytesPerSecond: Int?
  /// The share of datagrams that are lost, from 0 to 1. Of streams nothing is: what is lost is sent again.
  public var datagramLoss: Double
  /// The share of datagrams that arrive twice, from 0 to 1.
  public var datagramDuplicates: Double

  /// Describes a way. Without arguments it is a perfect one.
  public init(
    latency: ClosedRange<Duration> = .zero ... .zero, bytesPerSecond: Int? = nil, datagramLoss: Double = 0,
    datagramDuplicates: Double = 0
  ) {
    self.latency = latency
    self.bytesPerSecond = bytesPerSecond
    self.datagramLoss = datagramLoss
    self.datagramDuplicates = datagramDuplicates
  }

  /// The same latency for each packet.
  public init(latency: Duration, bytesPerSecond: Int? = nil) {
    self.init(latency: latency...latency, bytesPerSecond: bytesPerSecond)
  }

  /// Nothing takes time, and nothing is lost.
  public static let perfect = LinkConditions()
  /// A network inside of a building: some hundred microseconds.
  public static let local = LinkConditions(latency: .microseconds(50) ... .microseconds(500))
  /// A network across a continent: some ten milliseconds, and one datagram of a hundred is lost.
  public static let wide = LinkConditions(latency: .milliseconds(20) ... .milliseconds(40), datagramLoss: 0.01)
}

extension Duration {
  /// Whole nanoseconds, within what 64 bits hold.
  var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, carried) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
    return carried ? (seconds < 0 ? .min : .max) : sum
  }
}
