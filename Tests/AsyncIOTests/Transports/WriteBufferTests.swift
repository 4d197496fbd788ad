// SPDX-License-Identifier: Apache-2.0
import struct AsyncIOTesting.SeededGenerator
import Testing

@testable import AsyncIO

@Suite("Write buffer")
struct WriteBufferTests {
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
      buffer.consume(front.count)
    }
    return bytes
  }

  @Test("random operations against an array", arguments: 0..<12 as Range<UInt64>)
  func randomOperations(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let source = pattern(40_000)
    var buffer = WriteBuffer()
    var marks = MarkedFlow()
    var model: [UInt8] = []
    var (low, high) = (16 * 1024, 64 * 1024)
    var isPaused = false
    // From a place of its own each time, so that no part looks like its neighbour.
    func bytes(_ count: Int) -> [UInt8] { Array(source[Int.random(in: 0..<1000, using: &random)...].prefix(count)) }
    func check(_ signal: FlowControl.Signal, _ operation: String) {
      var expected = FlowControl.Signal.none
      if !isPaused, model.count > high { expected = .pause } else if isPaused, model.count <= low { expected = .resume }
      if expected != .none { isPaused.toggle() }
      #expect(signal == expected, "\(operation) at \(model.count) bytes, marks \(low) and \(high)")
      #expect(buffer.count == model.count)
      #expect(buffer.isEmpty == model.isEmpty)
      #expect(marks.isPaused == isPaused)
    }

    for _ in 0..<150 {
      let size = [0, 1, 7, 100, 4096, 4097, 30_000].randomElement(using: &random)!
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        let part = bytes(size)
        model += part
        buffer.append(part.span)
        check(marks.told(buffer.count), "append")
      case 4:
        let lines = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
          bytes(Int.random(in: 0..<50, using: &random))
        }
        let joined = lines.reduce(into: []) { $0 += $1 }
        // Bytes are skipped only of what goes to the kernel directly, which needs an empty buffer.
        let skipping = model.isEmpty && !joined.isEmpty ? Int.random(in: 0...joined.count, using: &random) : 0
        model += joined.dropFirst(skipping)
        buffer.append(contentsOf: lines, skipping: skipping)
        check(marks.told(buffer.count), "append lines")
      case 5:
        high = Int.random(in: 0...100_000, using: &random)
        low = Int.random(in: 0...high, using: &random)
        marks.set(high: high, low: low)
        check(marks.told(buffer.count), "set limits")
      default:
        let front = front(buffer)
        let taken = Int.random(in: 0...front.count, using: &random)
        // Their starts: the whole is compared at the end.
        #expect(Array(front.prefix(500)) == Array(model.prefix(min(500, front.count))))
        model.removeFirst(taken)
        buffer.consume(taken)
        check(marks.told(buffer.count), "consume \(taken)")
      }
    }
    #expect(content(buffer) == model)
    buffer.removeAll()
    #expect(buffer.isEmpty && buffer.front.isEmpty && buffer.firstOffset == 0)
  }

  @Test("pause strictly above high, resume at low")
  func marksAreExact() {
    var buffer = WriteBuffer()
    var marks = MarkedFlow()
    marks.set(high: 10, low: 4)
    #expect(marks.told(buffer.count) == .none)
    buffer.append(pattern(10).span)
    #expect(marks.told(buffer.count) == .none)
    buffer.append(pattern(1).span)
    #expect(marks.told(buffer.count) == .pause)
    buffer.append(pattern(100).span)
    #expect(marks.told(buffer.count) == .none)
    buffer.consume(106)
    #expect(marks.told(buffer.count) == .none)
    #expect(buffer.count == 5)
    buffer.consume(1)
    #expect(marks.told(buffer.count) == .resume)
    buffer.consume(4)
    #expect(marks.told(buffer.count) == .none)
  }

  @Test("with marks of zero any byte pauses, and the last one resumes")
  func zeroMarks() {
    var buffer = WriteBuffer()
    var marks = MarkedFlow()
    marks.set(high: 0, low: nil)
    #expect(marks.told(buffer.count) == .none)
    buffer.append(pattern(1).span)
    #expect(marks.told(buffer.count) == .pause)
    buffer.consume(1)
    #expect(marks.told(buffer.count) == .resume)
  }

  @Test("limits take effect at once, and have defaults")
  func limits() {
    var buffer = WriteBuffer()
    var marks = MarkedFlow()
    #expect(marks.low == 16 * 1024 && marks.high == 64 * 1024)
    buffer.append(pattern(100).span)
    marks.set(high: 99, low: nil)
    #expect(marks.told(buffer.count) == .pause)
    #expect(marks.low == 24)
    marks.set(high: nil, low: 100)
    #expect(marks.told(buffer.count) == .resume)
    #expect(marks.high == 400)
    marks.set(high: nil, low: nil)
    #expect(marks.told(buffer.count) == .none)
    #expect(marks.low == 16 * 1024 && marks.high == 64 * 1024)
  }

  @Test("Small writes share chunks, so that one system call takes many of them")
  func smallWritesShareChunks() {
    var buffer = WriteBuffer()
    for _ in 0..<1000 { buffer.append(pattern(8).span) }
    #expect(buffer.front.count == 2)
  }

  @Test("a write of nothing leaves no chunk")
  func emptyAppend() {
    var buffer = WriteBuffer()
    var marks = MarkedFlow()
    buffer.append([UInt8]().span)
    #expect(marks.told(buffer.count) == .none)
    buffer.append(contentsOf: [[], []], skipping: 0)
    #expect(marks.told(buffer.count) == .none)
    #expect(buffer.front.isEmpty)
  }

  @Test("dropping what is left says nothing to the protocol, and does not pause it again")
  func discardIsSilent() {
    var buffer = WriteBuffer()
    var marks = MarkedFlow()
    marks.set(high: 1, low: 0)
    buffer.append(pattern(2).span)
    #expect(marks.told(buffer.count) == .pause)
    buffer.removeAll()
    marks.silence()
    #expect(marks.told(buffer.count) == .none)
    #expect(marks.isPaused)
    #expect(content(buffer) == [])
  }
}
