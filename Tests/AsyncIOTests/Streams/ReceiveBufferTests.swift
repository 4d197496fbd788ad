// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct ReceiveBufferTests {
  /// Numbers that look random and are the same in each run.
  private struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  /// Where the separator begins, looked for the slow way.
  private func index(of separator: [UInt8], in bytes: [UInt8], from offset: Int) -> Int? {
    guard bytes.count >= separator.count else { return nil }
    return (0...bytes.count - separator.count).first { $0 >= offset && bytes[$0...].starts(with: separator) }
  }

  @Test("any series of operations does what it does to an array", arguments: 1...8)
  func agreesWithModel(seed: Int) {
    var numbers = Numbers(state: UInt64(seed) &* 0x9e37_79b9_7f4a_7c15)
    var buffer = ReceiveBuffer()
    var model: [UInt8] = []
    for _ in 0..<600 {
      switch Int.random(in: 0..<10, using: &numbers) {
      case 0...3:
        // Few different bytes, so that separators come about; now and then many, so that the buffer moves its rest.
        let count = Int.random(in: 0..<10, using: &numbers) == 0 ? 9000 : Int.random(in: 0..<40, using: &numbers)
        let new = (0..<count).map { _ in UInt8.random(in: 0..<3, using: &numbers) }
        buffer.append(new.span)
        model += new
      case 4, 5:
        let wanted = Int.random(in: 0...max(1, model.count), using: &numbers)
        #expect(buffer.take(wanted) == Array(model.prefix(wanted)))
        model.removeFirst(min(wanted, model.count))
      case 6:
        let dropped = Int.random(in: 0...model.count, using: &numbers)
        buffer.drop(dropped)
        model.removeFirst(dropped)
      case 7 where Int.random(in: 0..<8, using: &numbers) == 0:
        #expect(buffer.takeAll() == model)
        model = []
      default:
        let separator = (0..<Int.random(in: 1...4, using: &numbers)).map { _ in UInt8.random(in: 0..<3, using: &numbers)
        }
        let offset = Int.random(in: 0...model.count, using: &numbers)
        #expect(
          buffer.firstIndex(of: separator, from: offset) == index(of: separator, in: model, from: offset),
          "separator \(separator) from \(offset)")
      }
      #expect(buffer.count == model.count)
      #expect(buffer.isEmpty == model.isEmpty)
    }
    #expect(buffer.takeAll() == model)
  }

  @Test("a separator is found wherever the chunks end")
  func separatorAcrossChunks() {
    let text = octets("aab-aabb|rest")
    let separator = octets("aabb|")
    for cut in 0...text.count {
      for second in cut...text.count {
        var buffer = ReceiveBuffer()
        for part in [text[..<cut], text[cut..<second], text[second...]] { buffer.append(Array(part).span) }
        #expect(buffer.firstIndex(of: separator, from: 0) == 4)
        #expect(buffer.firstIndex(of: separator, from: 4) == 4)
        #expect(buffer.firstIndex(of: separator, from: 5) == nil)
      }
    }
  }

  @Test("a separator longer than the bytes, or half of one at the end, is not found")
  func partialSeparator() {
    var buffer = ReceiveBuffer()
    #expect(buffer.firstIndex(of: [1], from: 0) == nil)
    buffer.append([1, 2, 3].span)
    #expect(buffer.firstIndex(of: [2, 3, 4], from: 0) == nil)
    #expect(buffer.firstIndex(of: [1, 2, 3, 4], from: 0) == nil)
    #expect(buffer.firstIndex(of: [3], from: 3) == nil)
    #expect(buffer.firstIndex(of: [3], from: 30) == nil)
  }

  /// Moving what is left at each line would copy two terabytes.
  @Test("taking many lines out of much data costs no more per line", .timeLimit(.minutes(10)))
  func manyLines() {
    let count = 200_000
    var buffer = ReceiveBuffer()
    buffer.append([UInt8](repeating: UInt8(ascii: "\n"), count: 100 * count).span)
    for _ in 0..<count { buffer.drop(100) }
    #expect(buffer.isEmpty)
  }
}
