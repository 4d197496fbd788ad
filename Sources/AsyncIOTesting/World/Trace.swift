// SPDX-License-Identifier: Apache-2.0

/// What can happen in a run.
enum TraceEvent: UInt8 {
  case time, turn, ready, refusal, reset, signal
  case socket, bind, listen, connect, accept, shutdown, close
  case receive, send, read, write, recvfrom, recvmmsg, sendto
}

/// What happened in a run, in order: a fingerprint of everything, and on request the last lines as text.
///
/// Two runs with the same fingerprint made the same system calls with the same answers at the same moments.
struct Trace {
  /// FNV-1a over the numbers of every event.
  private(set) var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325
  private(set) var eventCount = 0
  /// How many lines of text to keep; zero for none, which saves making them.
  var lineLimit = 0 {
    didSet {
      lines = []
      oldest = 0
    }
  }
  private var lines: [String] = []
  /// Where the oldest line stands once there are as many as are kept.
  private var oldest = 0

  mutating func note(
    _ time: Int64, _ host: Int, _ kind: TraceEvent, _ a: Int64 = 0, _ b: Int64 = 0, _ text: @autoclosure () -> String
  ) {
    eventCount += 1
    fold(UInt64(bitPattern: time))
    fold(UInt64(host))
    fold(UInt64(kind.rawValue))
    fold(UInt64(bitPattern: a))
    fold(UInt64(bitPattern: b))
    guard lineLimit > 0 else { return }
    let line = text()
    if lines.count < lineLimit {
      lines.append(line)
    } else {
      lines[oldest] = line
      oldest = (oldest + 1) % lineLimit
    }
  }

  /// The lines that were kept, the oldest first.
  var text: [String] { Array(lines[oldest...] + lines[..<oldest]) }

  private mutating func fold(_ word: UInt64) { fingerprint = (fingerprint ^ word) &* 0x0000_0100_0000_01b3 }
}
