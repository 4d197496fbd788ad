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

  /// Sets the marks in bytes. Without `low` it is a quarter of `high`; without both, 16 and 64 KiB.
  mutating func set(high newHigh: Int?, low newLow: Int?) {
    let top = newHigh ?? newLow.map { 4 * $0 } ?? 64 * 1024
    let bottom = newLow ?? top / 4
    require(bottom >= 0 && top >= bottom, "setWriteBufferLimits: low must not be negative, nor above high")
    (low, high) = (bottom, top)
  }

  /// What the protocol has to be told now that so many bytes wait. Pauses and resumptions alternate.
  mutating func signal(count: Int) -> Signal {
    if !isPaused, count > high {
      isPaused = true
      return .pause
    }
    if isPaused, count <= low {
      isPaused = false
      return .resume
    }
    return .none
  }
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
