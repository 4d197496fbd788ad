// SPDX-License-Identifier: Apache-2.0

/// How much may wait to be sent before the protocol is told that it is too much, in bytes, and how little has to be left
/// before it may go on.
struct WaterMarks: Equatable {
  /// What holds until the program says otherwise.
  static let standard = WaterMarks(high: nil, low: nil)

  let low: Int
  let high: Int

  /// Without `low` it is a quarter of `high`; without both, the marks are 16 and 64 KiB.
  init(high newHigh: Int?, low newLow: Int?) {
    high = newHigh ?? newLow.map { $0 > .max / 4 ? .max : 4 * max(0, $0) } ?? 64 * 1024
    low = newLow ?? high / 4
    require(
      low >= 0 && high >= low,
      "setWriteBufferLimits: low (\(low)) must not be negative, nor above high (\(high))")
  }
}

/// Whether the protocol was told that too much waits to be sent. Pure.
struct FlowControl {
  /// What the protocol has to be told.
  enum Signal: Equatable {
    case none, pause, resume
  }

  /// Whether the protocol was told to pause, and not yet to go on.
  private(set) var isPaused = false
  /// Whether `pauseWriting` runs. To be told to go on in the middle of it would leave a protocol that notes its state at
  /// the method's end paused for ever.
  private var isTellingPause = false
  /// Whether there is nobody to tell any more.
  private var isSilenced = false

  /// What the protocol has to be told now that so many bytes wait: tell it at once, then say so by ``didTell(_:)`` and
  /// ask again, since what the protocol did in answer may have changed it. Pauses and resumptions alternate.
  mutating func nextSignal(count: Int, _ marks: WaterMarks) -> Signal {
    if isSilenced { return .none }
    if !isPaused, count > marks.high {
      isPaused = true
      isTellingPause = true
      return .pause
    }
    if isPaused, !isTellingPause, count <= marks.low {
      isPaused = false
      return .resume
    }
    return .none
  }

  /// The protocol's method has returned.
  mutating func didTell(_ signal: Signal) {
    if signal == .pause { isTellingPause = false }
  }

  /// Has no more to say from here on.
  mutating func silence() { isSilenced = true }
}

extension BaseProtocol {
  /// Calls what the signal asks for.
  func tell(_ signal: FlowControl.Signal) throws {
    switch signal {
    case .none: break
    case .pause: try pauseWriting()
    case .resume: try resumeWriting()
    }
  }
}

extension FlowControl.Signal {
  /// The protocol's method that it calls.
  var method: String { self == .pause ? "pauseWriting" : "resumeWriting" }
}
