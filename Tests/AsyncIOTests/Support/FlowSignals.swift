// SPDX-License-Identifier: Apache-2.0
@testable import AsyncIO

/// Flow control and the marks that it goes by, as a transport has them.
struct MarkedFlow {
  private(set) var marks = WaterMarks.standard
  private var flow = FlowControl()

  var isPaused: Bool { flow.isPaused }
  var low: Int { marks.low }
  var high: Int { marks.high }

  mutating func set(high: Int?, low: Int?) { marks = WaterMarks(high: high, low: low) }
  mutating func silence() { flow.silence() }

  /// The signal as things stand, taken for told.
  mutating func told(_ count: Int) -> FlowControl.Signal {
    let signal = flow.nextSignal(count: count, marks)
    flow.didTell(signal)
    return signal
  }
}
