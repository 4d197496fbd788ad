// SPDX-License-Identifier: Apache-2.0
@testable import AsyncIO

extension WriteBuffer {
  /// The signal as things stand, taken for told.
  mutating func told() -> Signal {
    let signal = nextSignal()
    didTell(signal)
    return signal
  }
}

extension DatagramQueue {
  /// The signal as things stand, taken for told.
  mutating func told() -> WaterMarks.Signal {
    let signal = nextSignal()
    didTell(signal)
    return signal
  }
}
