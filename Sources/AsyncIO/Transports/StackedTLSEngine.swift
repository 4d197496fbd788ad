// SPDX-License-Identifier: Apache-2.0

/// TLS inside TLS: an engine whose bytes travel through another one, which is connected already.
final class StackedTLSEngine: TLSEngine {
  /// Nearer to the program.
  private let upper: any TLSEngine
  /// Nearer to the peer.
  private let lower: any TLSEngine
  /// What the lower one has decrypted and the upper one not yet used.
  private var middle: [UInt8] = []
  private var middleStart = 0
  private let room = ReadBuffer(capacity: 16 * 1024)
  /// What the upper one wants sent; empty between calls.
  private var outgoing: [UInt8] = []
  private var lowerHasEnded = false
  /// Whether the upper one may have plaintext left for which there was no room.
  private var upperHasMore = false
  /// Whether the upper stream may end with the lower one.
  private let acceptsTruncation: Bool

  init(_ upper: any TLSEngine, over lower: any TLSEngine, acceptsTruncation: Bool = false) {
    self.upper = upper
    self.lower = lower
    self.acceptsTruncation = acceptsTruncation
  }

  var info: TLSInfo { upper.info }

  func handshake(_ received: Span<UInt8>, output: inout [UInt8]) throws(TLSError) -> (used: Int, isDone: Bool) {
    var used = 0
    while true {
      let (count, isDone) = try throughLower(&output) { (middle, output) throws(TLSError) in
        try upper.handshake(middle, output: &output)
      }
      drop(count)
      if isDone { return (used, true) }
      guard try fill(received, &used, &output) else {
        if lowerHasEnded { throw TLSError(.handshake, "the TLS connection below was closed during the handshake") }
        return (used, false)
      }
    }
  }

  func decrypt(
    _ received: Span<UInt8>, into plaintext: inout MutableSpan<UInt8>, output: inout [UInt8]
  ) throws(TLSError) -> TLSDecryption {
    var used = 0
    while true {
      var step = TLSDecryption(used: 0, count: 0, next: .receive)
      if middleStart < middle.count || upperHasMore {
        step = try throughLower(&output) { (middle, output) throws(TLSError) in
          try upper.decrypt(middle, into: &plaintext, output: &output)
        }
        drop(step.used)
        upperHasMore = step.next == .repeatCall
      }
      if step.count > 0 || step.next != .receive {
        // Whatever is left, here or there, is looked at in the next call.
        let next = step.next == .end ? TLSDecryption.Next.end : .repeatCall
        return TLSDecryption(used: used, count: step.count, next: next)
      }
      guard try fill(received, &used, &output) else {
        if lowerHasEnded, !acceptsTruncation { throw .truncated }
        return TLSDecryption(used: used, count: 0, next: lowerHasEnded ? .end : .receive)
      }
    }
  }

  func encrypt(_ plaintext: Span<UInt8>, output: inout [UInt8]) throws(TLSError) {
    try throughLower(&output) { (_, output) throws(TLSError) in try upper.encrypt(plaintext, output: &output) }
  }

  func close(output: inout [UInt8]) {
    var farewell: [UInt8] = []
    upper.close(output: &farewell)
    try? lower.encrypt(farewell.span, output: &output)
    lower.close(output: &output)
  }

  /// Has the lower engine decrypt some more.
  ///
  /// - Returns: whether it came to anything.
  private func fill(
    _ received: Span<UInt8>, _ used: inout Int, _ output: inout [UInt8]
  ) throws(TLSError) -> Bool {
    while !lowerHasEnded {
      let step = try room.fill { (target) throws(TLSError) in
        try lower.decrypt(received.extracting(used...), into: &target, output: &output)
      }
      used += step.used
      lowerHasEnded = step.next == .end
      if step.count > 0 {
        room.withPrefix(step.count) { middle.append(copying: $0) }
        return true
      }
      if step.next == .receive { return false }
    }
    return false
  }

  /// Calls the upper engine with what the lower one has decrypted. What the upper one wants sent is encrypted by the
  /// lower one, also when the upper one fails.
  private func throughLower<R>(
    _ output: inout [UInt8], _ call: (Span<UInt8>, inout [UInt8]) throws(TLSError) -> R
  ) throws(TLSError) -> R {
    var outgoing = self.outgoing
    self.outgoing = []
    let middle = middle
    let outcome: Result<R, TLSError>
    do throws(TLSError) {
      outcome = .success(try call(middle.span.extracting(middleStart...), &outgoing))
    } catch {
      outcome = .failure(error)
    }
    if !outgoing.isEmpty { try lower.encrypt(outgoing.span, output: &output) }
    outgoing.removeAll(keepingCapacity: true)
    self.outgoing = outgoing
    return try outcome.get()
  }

  private func drop(_ count: Int) {
    middleStart += count
    if middleStart == middle.count {
      middle.removeAll(keepingCapacity: true)
      middleStart = 0
    }
  }
}
