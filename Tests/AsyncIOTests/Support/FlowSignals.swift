// SPDX-License-Identifier: Apache-2.0
@testable import AsyncIO

extension WaterMarks {
  /// The signal as things stand, taken for told.
  mutating func told(_ count: Int) -> Signal {
    let signal = nextSignal(count: count)
    didTell(signal)
    return signal
  }
}
