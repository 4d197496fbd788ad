// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Write buffer")
struct WriteBufferTests {
  /// Numbers that are random and the same in every run.
  private struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }

  /// What the next system call is handed.
  private func front(_ buffer: WriteBuffer) -> [UInt8] {
    var bytes: [UInt8] = []
    for chunk in buffer.front { bytes += chunk }
    bytes.removeFirst(buffer.firstOffset)
    return bytes
  }

  private func content(_ buffer: WriteBuffer) -> [UInt8] {
    var buffer = buffer
    var bytes: [UInt8] = []
    while !buffer.isEmpty {
      let front = front(buffer)
      bytes += front
      _ = buffer.consume(front.count)
    }
    return bytes
  }

  @Test("random operations against an array", arguments: 0..<12 as Range<UInt64>)
  func randomOperations(seed: UInt64) throws {
    var random = Random(state: seed)
    let source = pattern(40_000)
    var buffer = WriteBuffer()
    var model: [UInt8] = []
    var (low, high) = (16 * 1024, 64 * 1024)
    var isPaused = false
    // From a place of its own each time, so that no part looks like its neighbour.
    func bytes(_ count: Int) -> [UInt8] { Array(source[Int.random(in: 0..<1000, using: &random)...].prefix(count)) }
    func check(_ signal: WriteBuffer.Signal, _ operation: String) {
      var expected = WriteBuffer.Signal.none
      if !isPaused, model.count > high { expected = .pause } else if isPaused, model.count <= low { expected = .resume }
      if expected != .none { isPaused.toggle() }
      #expect(signal == expected, "\(operation) at \(model.count) bytes, marks \(low) and \(high)")
      #expect(buffer.count == model.count)
      #expect(buffer.isEmpty == model.isEmpty)
      #expect(buffer.isPaused == isPaused)
    }

    for _ in 0..<150 {
      let size = [0, 1, 7, 100, 4096, 4097, 30_000].randomElement(using: &random)!
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        let part = bytes(size)
        model += part
        check(buffer.append(part.span), "append")
      case 4:
        let lines = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
          bytes(Int.random(in: 0..<50, using: &random))
        }
        let joined = lines.reduce(into: []) { $0 += $1 }
        // Bytes are skipped only of what goes to the kernel directly, which needs an empty buffer.
        let skipping = model.isEmpty && !joined.isEmpty ? Int.random(in: 0...joined.count, using: &random) : 0
        model += joined.dropFirst(skipping)
        check(buffer.append(contentsOf: lines, skipping: skipping), "append lines")
      case 5:
        high = Int.random(in: 0...100_000, using: &random)
        low = Int.random(in: 0...high, using: &random)
        check(buffer.setLimits(high: high, low: low), "set limits")
      default:
        let front = front(buffer)
        let taken = Int.random(in: 0...front.count, using: &random)
        // Their starts: the whole is compared at the end.
        #expect(Array(front.prefix(500)) == Array(model.prefix(min(500, front.count))))
        model.removeFirst(taken)
        check(buffer.consume(taken), "consume \(taken)")
      }
    }
    #expect(content(buffer) == model)
    buffer.discard()
    #expect(buffer.isEmpty && buffer.front.isEmpty && buffer.firstOffset == 0)
  }

  @Test("pause strictly above high, resume at low")
  func marksAreExact() {
    var buffer = WriteBuffer()
    #expect(buffer.setLimits(high: 10, low: 4) == .none)
    #expect(buffer.append(pattern(10).span) == .none)
    #expect(buffer.append(pattern(1).span) == .pause)
    #expect(buffer.append(pattern(100).span) == .none)
    #expect(buffer.consume(106) == .none)
    #expect(buffer.count == 5)
    #expect(buffer.consume(1) == .resume)
    #expect(buffer.consume(4) == .none)
  }

  @Test("with marks of zero any byte pauses, and the last one resumes")
  func zeroMarks() {
    var buffer = WriteBuffer()
    #expect(buffer.setLimits(high: 0, low: nil) == .none)
    #expect(buffer.append(pattern(1).span) == .pause)
    #expect(buffer.consume(1) == .resume)
  }

  @Test("limits take effect at once, and have defaults")
  func limits() {
    var buffer = WriteBuffer()
    #expect(buffer.low == 16 * 1024 && buffer.high == 64 * 1024)
    _ = buffer.append(pattern(100).span)
    #expect(buffer.setLimits(high: 99, low: nil) == .pause)
    #expect(buffer.low == 24)
    #expect(buffer.setLimits(high: nil, low: 100) == .resume)
    #expect(buffer.high == 400)
    #expect(buffer.setLimits(high: nil, low: nil) == .none)
    #expect(buffer.low == 16 * 1024 && buffer.high == 64 * 1024)
  }

  @Test("Small writes share chunks, so that one system call takes many of them")
  func smallWritesShareChunks() {
    var buffer = WriteBuffer()
    for _ in 0..<1000 { _ = buffer.append(pattern(8).span) }
    #expect(buffer.front.count == 2)
  }

  @Test("a write of nothing leaves no chunk")
  func emptyAppend() {
    var buffer = WriteBuffer()
    #expect(buffer.append([UInt8]().span) == .none)
    #expect(buffer.append(contentsOf: [[], []], skipping: 0) == .none)
    #expect(buffer.front.isEmpty)
  }

  @Test("dropping what is left says nothing to the protocol, and does not pause it again")
  func discardIsSilent() {
    var buffer = WriteBuffer()
    _ = buffer.setLimits(high: 1, low: 0)
    #expect(buffer.append(pattern(2).span) == .pause)
    buffer.discard()
    #expect(buffer.isPaused)
    #expect(content(buffer) == [])
  }
}
