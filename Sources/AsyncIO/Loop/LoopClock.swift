// SPDX-License-Identifier: Apache-2.0

/// The clock of a loop: monotonic, unmoved by changes of the wall clock. A Swift `Clock`.
public struct LoopClock: Sendable {
  /// A moment on a loop's clock. Moments of different loops of a process share their origin.
  public struct Instant: InstantProtocol {
    /// Nanoseconds since the clock's origin, which is of no meaning.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The moment that lies so much later, at the latest the last that the clock can tell.
    public func advanced(by duration: Duration) -> Instant {
      let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
      return Instant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    /// How much later the other moment is; negative when it is earlier.
    public func duration(to other: Instant) -> Duration {
      .nanoseconds(other.nanoseconds) - .nanoseconds(nanoseconds)
    }

    /// The order of time.
    public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  }

  let kernel: any Kernel

  /// The present moment. asyncio's `time()`.
  public var now: Instant { Instant(nanoseconds: kernel.monotonicNanoseconds()) }

  /// The finest difference that the clock tells.
  public var minimumResolution: Duration { .nanoseconds(1) }
}

extension Duration {
  /// Whole nanoseconds, rounded up so that a timer is never early, and clamped to about 292 years.
  var clampedNanoseconds: Int64 {
    // Up to some hours, which most timers stay below, the arithmetic fits a machine word: 10^9 is 5^9 times 2^9.
    if let few = UInt64(exactly: attoseconds >> 9) {
      let (whole, rest) = few.quotientAndRemainder(dividingBy: 1_953_125)
      return Int64(whole) + (rest == 0 && attoseconds & 511 == 0 ? 0 : 1)
    }
    let (seconds, attoseconds) = components
    let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    var fraction = attoseconds / 1_000_000_000
    if attoseconds % 1_000_000_000 > 0 { fraction += 1 }
    let (sum, carried) = whole.addingReportingOverflow(fraction)
    return carried ? (seconds < 0 ? .min : .max) : sum
  }
}
