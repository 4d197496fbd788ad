// SPDX-License-Identifier: Apache-2.0

/// What has become of a run.
struct RunRecord: Sendable {
  /// A number of everything that has happened.
  var fingerprint: UInt64 = 0
  /// The numbers of the faults that have happened.
  var faults: [Int] = []
  /// How many choices there were.
  var choiceCount = 0
}
