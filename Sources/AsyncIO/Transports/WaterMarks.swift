// SPDX-License-Identifier: Apache-2.0

/// How much may wait to be sent, and whether the protocol was told that it is too much. Pure.
struct WaterMarks {
  /// Whom the marks call.
  enum Signal: Equatable {
    case none, pause, resume
  }

  private(set) var low = 16 * 1024
  private(set) var high = 64 * 1024
  /// Whether the protocol was told to pause, and not yet to go on.
  private(set) var isPaused = false
  /// Whether `pauseWriting` runs. To be told to go on in the middle of it would leave a protocol that notes its state at
  /// the method's end paused for ever.
  private var isTellingPause = false
  /// Whether there is nobody to tell any more.
  private var isSilenced = false

  /// Sets the marks in bytes. Without `low` it is a quarter of `high`; without both, 16 and 64 KiB.
  mutating func set(high newHigh: Int?, low newLow: Int?) {
    let top = newHigh ?? newLow.map { $0 > .max / 4 ? .max : 4 * max(0, $0) } ?? 64 * 1024
    let bottom = newLow ?? top / 4
    require(
      bottom >= 0 && top >= bottom,
      "setWriteBufferLimits: low (\(bottom)) must not be negative, nor above high (\(top))")
    (low, high) = (bottom, top)
  }

  /// What the protocol has to be told now that so many bytes wait: tell it at once, then say so by ``didTell(_:)`` and
  /// ask again, since what the protocol did in answer may have changed it. Pauses and resumptions alternate.
  mutating func nextSignal(count: Int) -> Signal {
    if isSilenced { return .none }
    if !isPaused, count > high {
      isPaused = true
      isTellingPause = true
      return .pause
    }
    if isPaused, !isTellingPause, count <= low {
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
  func tell(_ signal: WaterMarks.Signal) throws {
    switch signal {
    case .none: break
    case .pause: try pauseWriting()
    case .resume: try resumeWriting()
    }
  }
}

extension WaterMarks.Signal {
  /// The protocol's method that it calls.
  var method: String { self == .pause ? "pauseWriting" : "resumeWriting" }
}
