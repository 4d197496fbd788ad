// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// A message between pool and worker: its length in four bytes, the lowest first, then its kind, then its body.
struct Frame: Equatable {
  enum Kind: UInt8 {
    /// From a worker that is ready: a ``Hello``.
    case hello
    /// To a worker: the length of the job's name in two bytes, the name, the job.
    case job
    /// From a worker: the output.
    case output
    /// From a worker: a ``RemoteJobError``.
    case failure
    /// From a worker: the name of a job that it does not know.
    case unregistered
    /// From a worker: the output was too large. Empty.
    case tooLarge
  }

  var kind: Kind
  var body: [UInt8]

  /// The longest body. What is beyond it would hold up either side for seconds.
  static let limit = 1 << 30
  static let headerSize = 5

  /// Nil when the body is too long.
  var bytes: [UInt8]? {
    guard body.count <= Frame.limit else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Frame.headerSize + body.count)
    for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: body.count >> shift)) }
    bytes.append(kind.rawValue)
    bytes += body
    return bytes
  }

  static func job(_ name: String, _ job: [UInt8]) -> Frame {
    let name = Array(name.utf8)
    return Frame(kind: .job, body: [UInt8(truncatingIfNeeded: name.count), UInt8(name.count >> 8)] + name + job)
  }

  /// The parts of a job's body; nil when it is not one.
  static func parseJob(_ body: [UInt8]) -> (name: String, job: ArraySlice<UInt8>)? {
    guard body.count >= 2 else { return nil }
    let end = 2 + Int(body[0]) + Int(body[1]) << 8
    guard body.count >= end else { return nil }
    return (String(decoding: body[2..<end], as: UTF8.self), body[end...])
  }
}

/// Puts frames together from bytes as they come.
struct FrameReader {
  /// What came is no frame: whoever sent it is not what it should be.
  struct Malformed: Error {}

  private var bytes: [UInt8] = []
  /// How much of `bytes` was handed out.
  private var start = 0

  /// Adds what arrived.
  mutating func append(_ arrived: Span<UInt8>) {
    if start > 0, start == bytes.count {
      bytes.removeAll(keepingCapacity: start <= 1 << 20)
      start = 0
    }
    bytes.append(copying: arrived)
  }

  /// The next frame; nil when it is not complete yet.
  mutating func next() throws(Malformed) -> Frame? {
    let available = bytes.count - start
    guard available >= Frame.headerSize else { return nil }
    var length = 0
    for index in 0..<4 { length |= Int(bytes[start + index]) << (8 * index) }
    guard let kind = Frame.Kind(rawValue: bytes[start + 4]), length <= Frame.limit else { throw Malformed() }
    let end = start + Frame.headerSize + length
    guard bytes.count >= end else {
      // Room for all of it at once, but no more than doubling takes on the word of the sender alone.
      if available > length / 2 { bytes.reserveCapacity(end) }
      return nil
    }
    let body = Array(bytes[(start + Frame.headerSize)..<end])
    start = end
    return Frame(kind: kind, body: body)
  }
}
