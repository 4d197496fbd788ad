// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// What has gone against the library's promises in a run.
package final class Violations {
  private var list: [String] = []

  package init() {}

  func add(_ text: String) { list.append(text) }

  package func check() throws { if let first = list.first { throw Violation(description: first) } }
}

/// A promise that was not kept.
package struct Violation: Error, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }
}

/// An echo server's protocol that looks at the order in which it is called.
///
/// `connectionMade` comes once and first, `connectionLost` once and last; bytes do not come after the end, nor while reading is
/// paused; `pauseWriting` and `resumeWriting` alternate.
final class WatchedEcho: StreamProtocol {
  private let violations: Violations
  private var transport: StreamTransport?
  private var wasMade = false
  private var isLost = false
  private var sawEnd = false
  private var isPaused = false
  /// How many bytes it has seen.
  private(set) var count = 0

  init(_ violations: Violations) { self.violations = violations }

  func connectionMade(_ transport: StreamTransport) {
    expect(!wasMade, "connectionMade came twice")
    wasMade = true
    self.transport = transport
  }

  func dataReceived(_ data: Span<UInt8>) {
    expect(wasMade && !isLost, "dataReceived came out of order")
    expect(!sawEnd, "dataReceived came after the end")
    expect(!isPaused, "dataReceived came while reading was paused")
    expect(data.count > 0, "dataReceived brought nothing")
    count += data.count
    transport?.write(data)
  }

  func eofReceived() -> Bool {
    expect(wasMade && !isLost && !sawEnd, "eofReceived came out of order")
    sawEnd = true
    return false
  }

  func pauseWriting() {
    expect(wasMade && !isLost && !isPaused, "pauseWriting came out of order")
    isPaused = true
    transport?.pauseReading()
  }

  func resumeWriting() {
    expect(wasMade && !isLost && isPaused, "resumeWriting came out of order")
    isPaused = false
    transport?.resumeReading()
  }

  func connectionLost(_ error: (any Error)?) {
    expect(wasMade, "connectionLost came before connectionMade")
    expect(!isLost, "connectionLost came twice")
    isLost = true
    transport = nil
  }

  private func expect(_ condition: Bool, _ text: String) {
    if !condition { violations.add(text) }
  }

  deinit { if wasMade, !isLost { violations.add("connectionLost never came") } }
}
