// SPDX-License-Identifier: Apache-2.0

/// Something that happens at a moment of the world's clock, unless it is called off before.
final class ScheduledEvent {
  let time: Int64
  /// Decides among events of one moment, before the order in which they were scheduled does.
  let tieBreak: UInt64
  let sequence: UInt64
  private var action: (() -> Void)?

  init(time: Int64, tieBreak: UInt64, sequence: UInt64, _ action: @escaping () -> Void) {
    self.time = time
    self.tieBreak = tieBreak
    self.sequence = sequence
    self.action = action
  }

  func run() {
    let action = action.take()
    action?()
  }

  func cancel() { action = nil }

  var isCancelled: Bool { action == nil }
}

extension ScheduledEvent: Comparable {
  static func < (a: ScheduledEvent, b: ScheduledEvent) -> Bool {
    (a.time, a.tieBreak, a.sequence) < (b.time, b.tieBreak, b.sequence)
  }

  static func == (a: ScheduledEvent, b: ScheduledEvent) -> Bool { a === b }
}
