// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// The way from one host to another, or from one to itself.
final class Path {
  unowned let from: SimulatedHost
  /// Nil where nobody has the address.
  weak var to: SimulatedHost?
  private let world: World
  var conditions: LinkConditions
  /// Whether nothing gets through, and the sender is not told.
  private(set) var isCut = false
  /// Until when it is busy with what was sent before.
  private var busyUntil: Int64 = 0
  private var openCallbacks: [() -> Void] = []
  /// The way back; the same for a host to itself.
  private weak var other: Path?

  init(_ world: World, _ from: SimulatedHost, _ to: SimulatedHost?, _ conditions: LinkConditions) {
    self.world = world
    self.from = from
    self.to = to
    self.conditions = conditions
  }

  var back: Path { other ?? self }

  func setBack(_ path: Path) { other = path }

  /// Whether something that is sent now gets there.
  var isOpen: Bool { !isCut && to?.isUp == true }

  func cut() { isCut = true }

  func heal() {
    guard isCut else { return }
    isCut = false
    mayBeOpen()
  }

  /// Calls back once something gets through again.
  func whenOpen(_ callback: @escaping () -> Void) { openCallbacks.append(callback) }

  /// A partition is over, or the host is up again.
  func mayBeOpen() {
    guard isOpen else { return }
    let callbacks = openCallbacks
    openCallbacks.removeAll()
    for callback in callbacks { callback() }
  }

  // MARK: Time

  /// How much of a stream goes into one packet. Where nothing depends on it, any number does.
  var segmentLimit: Int { conditions.bytesPerSecond == nil ? .max : 1460 }

  /// How long a packet takes that is sent now.
  func delay() -> Int64 {
    let (least, most) = (conditions.latency.lowerBound.wholeNanoseconds, conditions.latency.upperBound.wholeNanoseconds)
    return world.choices.within(least...most)
  }

  /// When so many bytes arrive that are sent now, behind those that were sent before.
  func arrival(of size: Int) -> Int64 {
    guard let rate = conditions.bytesPerSecond, rate > 0 else { return world.now + delay() }
    let (whole, rest) = size.quotientAndRemainder(dividingBy: rate)
    busyUntil = max(busyUntil, world.now) + Int64(whole) * 1_000_000_000 + Int64(rest) * 1_000_000_000 / Int64(rate)
    return busyUntil + delay()
  }

  /// After how long each copy of a datagram arrives: none if it is lost.
  func datagramDelays(_ size: Int) -> [Int64] {
    if world.choices.chance(conditions.datagramLoss) { return [] }
    let delay = arrival(of: size) - world.now
    guard world.choices.chance(conditions.datagramDuplicates) else { return [delay] }
    return [delay, arrival(of: size) - world.now]
  }

  /// Has something happen at the other end, as soon as something gets through.
  func carryReliably(_ action: @escaping () -> Void) {
    carry(orElse: { [self] in whenOpen { self.carryReliably(action) } }, action)
  }

  /// Has something happen at the other end, unless it is lost on the way.
  func carry(orElse lost: @escaping () -> Void = {}, _ action: @escaping () -> Void) {
    guard isOpen else { return lost() }
    world.schedule(after: delay()) { [self] in
      if isOpen { action() } else { lost() }
    }
  }
}
