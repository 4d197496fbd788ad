// SPDX-License-Identifier: Apache-2.0
import SystemPackage

@testable import AsyncIO

/// A protocol that writes down what it is told, and does what the test wants in answer.
class Recorder: StreamProtocol {
  enum Call: Equatable {
    case made, data, eof, pause, resume
    case lost(Errno?)
  }

  /// Every call in order; data that follows data counts once.
  private(set) var calls: [Call] = []
  private(set) var received: [UInt8] = []
  /// How many bytes each `dataReceived` brought.
  private(set) var chunkSizes: [Int] = []
  /// What `connectionLost` was told; outer nil before.
  private(set) var loss: (any Error)??
  /// The far end, kept open as long as the recorder lives.
  var peer: Peer?
  /// Kept after the end, to try what a program might.
  private(set) var kept: StreamTransport?
  /// Set by `withoutLoss`: a loss that is told meanwhile is told inline.
  private var isInsideCall = false
  private(set) var wasLostInline = false

  var onMade: ((StreamTransport) throws -> Void)?
  var onData: (([UInt8]) throws -> Void)?
  var onEOF: (() throws -> Bool)?
  var onPause: (() throws -> Void)?
  var onResume: (() throws -> Void)?
  var onLost: (() throws -> Void)?

  var transport: StreamTransport { kept! }
  var isLost: Bool { loss != nil }
  var lossCount: Int { calls.count { if case .lost = $0 { true } else { false } } }
  var ioLoss: IOError? { (loss ?? nil) as? IOError }
  var testLoss: TestError? { (loss ?? nil) as? TestError }
  var text: String { String(decoding: received, as: UTF8.self) }

  func connectionMade(_ transport: StreamTransport) throws {
    calls.append(.made)
    kept = transport
    try onMade?(transport)
  }

  func dataReceived(_ data: Span<UInt8>) throws {
    if calls.last != .data { calls.append(.data) }
    chunkSizes.append(data.count)
    let bytes = [UInt8](copying: data)
    received += bytes
    try onData?(bytes)
  }

  func eofReceived() throws -> Bool {
    calls.append(.eof)
    return try onEOF?() ?? false
  }

  func pauseWriting() throws {
    calls.append(.pause)
    try onPause?()
  }

  func resumeWriting() throws {
    calls.append(.resume)
    try onResume?()
  }

  func connectionLost(_ error: (any Error)?) throws {
    calls.append(.lost((error as? IOError)?.code))
    loss = .some(error)
    if isInsideCall { wasLostInline = true }
    defer { forgetHooks() }
    try onLost?()
  }

  /// What the test wants in answer captures the recorder as a rule: this ends the cycle.
  func forgetHooks() {
    (onMade, onData, onEOF) = (nil, nil, nil)
    (onPause, onResume, onLost) = (nil, nil, nil)
  }

  /// Runs the calls, and notes when one of them reports the loss from inside.
  func watchingForInlineLoss(_ body: (StreamTransport) throws -> Void) rethrows {
    isInsideCall = true
    defer { isInsideCall = false }
    try body(transport)
  }

  /// Lets go of the transport, which may be asked for no more.
  func forgetTransport() { kept = nil }
}

/// One iteration of a loop that does not run.
func turn(_ loop: EventLoop) throws {
  loop.stop()
  try loop.runForever()
}

extension EventLoop {
  /// Lets the loop go round a few times: long enough for a second report of something, were there one.
  func turn(_ times: Int = 3) async throws {
    for _ in 0..<times { try await sleep(for: .zero) }
  }
}
