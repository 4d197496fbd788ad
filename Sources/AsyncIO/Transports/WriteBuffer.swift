// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// Bytes that the kernel has not taken yet. Pure.
struct WriteBuffer {
  /// The least that a chunk has room for, so that small writes share one.
  static let chunkCapacity = 4096
  /// The most chunks that one system call is handed.
  private static let gatherLimit = 64

  private var chunks = Deque<[UInt8]>()
  /// How many bytes of the first chunk are gone.
  private(set) var firstOffset = 0
  /// How many bytes are left.
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func append(_ bytes: Span<UInt8>) {
    guard bytes.count > 0 else { return }
    count += bytes.count
    if let last = chunks.indices.last, chunks[last].count + bytes.count <= WriteBuffer.chunkCapacity {
      chunks[last].append(copying: bytes)
    } else {
      var chunk: [UInt8] = []
      chunk.reserveCapacity(max(bytes.count, WriteBuffer.chunkCapacity))
      chunk.append(copying: bytes)
      chunks.append(chunk)
    }
  }

  /// Takes over whole chunks without a copy, but for the first `skipping` bytes, which were sent already.
  mutating func append(contentsOf lines: [[UInt8]], skipping: Int = 0) {
    var skip = skipping
    for line in lines where !line.isEmpty {
      if skip >= line.count {
        skip -= line.count
        continue
      }
      if skip > 0, chunks.isEmpty {
        firstOffset = skip
        chunks.append(line)
      } else {
        chunks.append(skip > 0 ? Array(line[skip...]) : line)
      }
      count += line.count - skip
      skip = 0
    }
  }

  /// The chunks for the next system call; without the first ``firstOffset`` bytes.
  var front: [[UInt8]] { Array(chunks.prefix(WriteBuffer.gatherLimit)) }

  /// Removes what the kernel took from the front.
  mutating func consume(_ taken: Int) {
    count -= taken
    var left = taken
    while left > 0, let first = chunks.first {
      let available = first.count - firstOffset
      if left < available {
        firstOffset += left
        break
      }
      left -= available
      firstOffset = 0
      chunks.removeFirst()
    }
  }

  /// Lends bytes from the front, at most `limit` and at least one, in one piece. They stay.
  func withFront<E: Error>(
    _ limit: Int, gathering scratch: inout [UInt8], _ body: (Span<UInt8>) throws(E) -> Void
  ) throws(E) {
    guard let first = chunks.first else { return }
    if chunks.count == 1 || first.count - firstOffset >= limit {
      try body(first.span.extracting(firstOffset..<Swift.min(first.count, firstOffset + limit)))
      return
    }
    scratch.removeAll(keepingCapacity: true)
    var offset = firstOffset
    for chunk in chunks {
      let part = Swift.min(chunk.count - offset, limit - scratch.count)
      scratch.append(copying: chunk.span.extracting(offset..<offset + part))
      if scratch.count == limit { break }
      offset = 0
    }
    try body(scratch.span)
  }

  /// Hands over all chunks, from the first byte that is left.
  mutating func takeAll() -> [[UInt8]] {
    var taken = Array(chunks)
    if firstOffset > 0, let first = taken.first { taken[0] = Array(first[firstOffset...]) }
    chunks.removeAll()
    firstOffset = 0
    count = 0
    return taken
  }

  /// Drops everything.
  mutating func removeAll() {
    chunks.removeAll()
    firstOffset = 0
    count = 0
  }
}
