// SPDX-License-Identifier: Apache-2.0

/// TLS inside TLS: an engine whose wire is another one, which is connected already.
final class StackedTLSEngine: TLSEngine {
  /// Nearer to the program.
  private let upper: any TLSEngine
  private let middle: EngineWire
  /// Whether the upper stream may end with the lower one.
  private let acceptsTruncation: Bool

  /// - Parameter received: bytes for the upper engine that the lower one has decrypted already.
  init(
    _ upper: any TLSEngine, over lower: any TLSEngine, received: [UInt8] = [], acceptsTruncation: Bool = false
  ) {
    self.upper = upper
    self.middle = EngineWire(lower, received)
    self.acceptsTruncation = acceptsTruncation
  }

  var info: TLSInfo { upper.info }

  func handshake(over wire: any TLSWire) throws(TLSError) -> Bool {
    let isDone = try middle.lending(wire) { () throws(TLSError) in try upper.handshake(over: middle) }
    if !isDone {
      if let failure = middle.failure { throw failure }
      if middle.hasEnded { throw TLSError(.handshake, "the TLS connection below was closed during the handshake") }
    }
    return isDone
  }

  func decrypt(from wire: any TLSWire, into plaintext: inout MutableSpan<UInt8>) throws(TLSError) -> TLSDecryption {
    var step = TLSDecryption(count: 0, next: .receive)
    try middle.lending(wire) { () throws(TLSError) in
      step = try upper.decrypt(from: middle, into: &plaintext)
    }
    guard step.next == .receive, middle.failure != nil || middle.hasEnded else { return step }
    // Behind the plaintext.
    if step.count > 0 {
      step.next = .repeatCall
    } else if let failure = middle.failure {
      throw failure
    } else if acceptsTruncation {
      step.next = .end
    } else {
      throw .truncated
    }
    return step
  }

  func encrypt(_ plaintext: Span<UInt8>, to wire: any TLSWire) throws(TLSError) {
    try middle.lending(wire) { () throws(TLSError) in try upper.encrypt(plaintext, to: middle) }
    if let failure = middle.failure { throw failure }
  }

  func close(over wire: any TLSWire) {
    middle.lending(wire) { upper.close(over: middle) }
    if middle.failure == nil { middle.lower.close(over: wire) }
  }
}

/// The wire that an engine is to another one.
private final class EngineWire: TLSWire {
  let lower: any TLSEngine
  /// What the lower engine has decrypted for somebody else. It goes before the rest.
  private var early: [UInt8]
  /// The lower engine's wire, for the length of a call.
  private var wire: (any TLSWire)?
  /// Whether the lower stream has ended as it should.
  private(set) var hasEnded = false
  /// Why the lower engine is of no use any more; nil while it is.
  private(set) var failure: TLSError?

  init(_ lower: any TLSEngine, _ early: [UInt8]) {
    self.lower = lower
    self.early = early
  }

  func lending<R>(_ wire: any TLSWire, _ call: () throws(TLSError) -> R) throws(TLSError) -> R {
    self.wire = wire
    defer { self.wire = nil }
    return try call()
  }

  func lending(_ wire: any TLSWire, _ call: () -> Void) {
    self.wire = wire
    defer { self.wire = nil }
    call()
  }

  func read(into buffer: inout MutableSpan<UInt8>) -> Int {
    guard let wire else { return 0 }
    var count = early.moveFront(into: &buffer)
    // The whole room: what the lower engine keeps is not asked for again before more arrives.
    while count < buffer.count, failure == nil, !hasEnded {
      do throws(TLSError) {
        var rest = buffer._mutatingExtracting(count...)
        let step = try lower.decrypt(from: wire, into: &rest)
        count += step.count
        hasEnded = step.next == .end
        if step.next == .receive { break }
      } catch {
        failure = error
      }
    }
    return count
  }

  func write(_ bytes: Span<UInt8>) {
    guard failure == nil, let wire else { return }
    do throws(TLSError) { try lower.encrypt(bytes, to: wire) } catch { failure = error }
  }
}
