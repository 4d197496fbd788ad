// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// A message between pool and worker: the length of its body in four bytes, the lowest first, its kind in one, its job's
/// number in eight, then the body.
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
  /// Which job it is, or is the answer to; 0 for a hello.
  var job = 0
  var body: [UInt8]

  /// The longest body. What is beyond it would hold up either side for seconds.
  static let limit = 1 << 30
  /// What a hello may take, on the word of a program that may be no worker at all.
  static let helloLimit = 1 << 24
  static let headerSize = 13
  /// Length and kind.
  static let prefixSize = 5

  /// Nil when the body is too long.
  var bytes: [UInt8]? {
    guard body.count <= Frame.limit else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Frame.headerSize + body.count)
    for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: body.count >> shift)) }
    bytes.append(kind.rawValue)
    for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: job >> shift)) }
    bytes += body
    return bytes
  }

  /// The longest name of a job, in bytes.
  static let nameLimit = 1 << 16 - 1

  /// Nil when the name is too long.
  static func job(_ number: Int, _ name: String, _ job: [UInt8]) -> Frame? {
    let name = Array(name.utf8)
    guard name.count <= nameLimit else { return nil }
    let length = [UInt8(truncatingIfNeeded: name.count), UInt8(name.count >> 8)]
    return Frame(kind: .job, job: number, body: length + name + job)
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

  /// The longest body that is taken.
  var limit = Frame.limit
  private var bytes: [UInt8] = []
  /// How much of `bytes` was handed out.
  private var start = 0

  init(limit: Int = Frame.limit) { self.limit = limit }

  /// Adds what arrived.
  mutating func append(_ arrived: Span<UInt8>) {
    if start == bytes.count {
      bytes.removeAll(keepingCapacity: start <= 1 << 20)
    } else {
      bytes.removeFirst(start)
    }
    start = 0
    bytes.append(copying: arrived)
  }

  /// The next frame; nil when it is not complete yet.
  mutating func next() throws(Malformed) -> Frame? {
    let available = bytes.count - start
    // What is no frame is known by its first bytes, and no more may come.
    guard available >= Frame.prefixSize else { return nil }
    let length = number(at: start, size: 4)
    guard let kind = Frame.Kind(rawValue: bytes[start + 4]), length <= limit else { throw Malformed() }
    guard available >= Frame.headerSize else { return nil }
    let end = start + Frame.headerSize + length
    guard bytes.count >= end else {
      // Room for all of it at once, but no more than doubling takes on the word of the sender alone.
      if available > length / 2 { bytes.reserveCapacity(end) }
      return nil
    }
    let frame = Frame(
      kind: kind, job: number(at: start + Frame.prefixSize, size: 8),
      body: Array(bytes[(start + Frame.headerSize)..<end]))
    start = end
    return frame
  }

  private func number(at index: Int, size: Int) -> Int {
    (0..<size).reduce(0) { $0 | Int(bytes[index + $1]) << (8 * $1) }
  }
}
