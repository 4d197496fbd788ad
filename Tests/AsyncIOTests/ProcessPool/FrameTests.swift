// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIOProcessPool

@Suite struct FrameTests {
  private func frames(_ bytes: [UInt8], chunk: Int) throws -> [Frame] {
    var reader = FrameReader()
    var frames: [Frame] = []
    for start in stride(from: 0, to: bytes.count, by: chunk) {
      reader.append(bytes.span.extracting(start..<min(start + chunk, bytes.count)))
      while let frame = try reader.next() { frames.append(frame) }
    }
    return frames
  }

  @Test("frames come out as they went in, however they are cut", arguments: [1, 2, 3, 5, 7, 64, 1000, 1 << 20])
  func roundTrip(chunk: Int) throws {
    let sent = [
      Frame(kind: .hello, body: []), Frame(kind: .output, job: 1, body: [1]),
      Frame(kind: .job, job: 0x0102_0304_0506_0708, body: Array(repeating: 7, count: 300)),
      Frame(kind: .failure, body: Array(repeating: 9, count: 70_000)), Frame(kind: .tooLarge, job: .max, body: []),
    ]
    let bytes = try sent.flatMap { try #require($0.bytes) }
    #expect(try frames(bytes, chunk: chunk) == sent)
    // Nothing comes of one that is not complete.
    #expect(try frames(bytes.dropLast(Frame.headerSize + 1), chunk: chunk) == sent.dropLast(2))
  }

  @Test(
    "what is no frame is an error",
    arguments: [[0, 0, 0, 0, 99], [1, 0, 0, 64, 0], [255, 255, 255, 255, 0]] as [[UInt8]])
  func malformed(bytes: [UInt8]) {
    #expect(throws: FrameReader.Malformed.self) { try frames(bytes, chunk: 5) }
  }

  @Test("a reader takes no more than its limit, and may be given another") func limit() throws {
    let frame = Frame(kind: .output, job: 1, body: Array(repeating: 1, count: 100))
    let bytes = try #require(frame.bytes)
    var reader = FrameReader(limit: 99)
    reader.append(bytes.span)
    #expect(throws: FrameReader.Malformed.self) { try reader.next() }
    reader.limit = 100
    #expect(try reader.next() == frame)
  }

  @Test("a job's name and value are told apart") func job() throws {
    for name in ["", "A.B", String(repeating: "n", count: 300), String(repeating: "n", count: 65_535)] {
      let frame = try #require(Frame.job(5, name, [1, 2, 3]))
      #expect(frame.job == 5)
      let parts = try #require(Frame.parseJob(frame.body))
      #expect(parts.name == name && Array(parts.job) == [1, 2, 3])
    }
    #expect(Frame.job(1, String(repeating: "n", count: 65_536), []) == nil)
    #expect(Frame.parseJob([]) == nil && Frame.parseJob([1]) == nil && Frame.parseJob([2, 0, 1]) == nil)
  }

}
