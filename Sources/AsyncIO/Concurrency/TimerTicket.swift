// SPDX-License-Identifier: Apache-2.0

/// What a timer is cancelled by. Once it has come up this stands for nothing, whoever has its slot then.
struct TimerTicket: Equatable {
  /// Where the timer queue keeps what is due.
  let slot: Int32
  /// The entry's place among all, by which it is told from another in the same slot.
  let sequence: UInt32
}
