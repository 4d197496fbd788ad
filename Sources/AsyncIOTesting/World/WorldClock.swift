// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The time of a world, in nanoseconds since its beginning. Only the world moves it; other threads may look.
final class WorldClock: Sendable {
  private let nanoseconds = Atomic<Int64>(0)

  var now: Int64 { nanoseconds.load(ordering: .relaxed) }

  func set(_ now: Int64) { nanoseconds.store(now, ordering: .relaxed) }
}

/// How the clock of one host goes, beside that of the world.
struct HostClock: Sendable {
  let world: WorldClock
  /// How far it is ahead.
  var offset: Int64 = 0
  /// How much it gains, in parts per million.
  var drift: Int64 = 0

  var now: Int64 { local(world.now) }

  /// What it shows at a moment of the world.
  func local(_ time: Int64) -> Int64 {
    guard drift != 0 else { return time + offset }
    let (millions, rest) = time.quotientAndRemainder(dividingBy: 1_000_000)
    return time + millions * drift + rest * drift / 1_000_000 + offset
  }

  /// The first moment of the world at which it shows that much, or nil for never.
  func worldTime(of local: Int64) -> Int64? {
    if local == .max { return nil }
    let (plain, overflow) = local.subtractingReportingOverflow(offset)
    if overflow { return local < 0 ? 0 : nil }
    guard drift != 0 else { return plain }
    if abs(plain) > 1 << 60 { return nil }
    let (millions, rest) = plain.quotientAndRemainder(dividingBy: 1_000_000 + drift)
    // An estimate, and then the few nanoseconds that rounding took.
    var time = millions * 1_000_000 + rest * 1_000_000 / (1_000_000 + drift)
    while self.local(time) < local { time += 1 }
    return time
  }
}
