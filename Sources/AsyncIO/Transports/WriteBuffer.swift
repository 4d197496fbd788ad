// SPDX-License-Identifier: Apache-2.0
import DequeModule

/// Bytes that the kernel has not taken yet, and whether there are too many of them.
struct WriteBuffer {
  typealias Signal = WaterMarks.Signal

  /// The least that a chunk has room for, so that small writes share one.
  static let chunkCapacity = 4096
  /// The most chunks that one system call is handed.
  private static let gatherLimit = 64

  private var chunks = Deque<[UInt8]>()
  /// How many bytes of the first chunk are gone.
  private(set) var firstOffset = 0
  /// How many bytes are left.
  private(set) var count = 0
  private var marks = WaterMarks()

  var low: Int { marks.low }
  var high: Int { marks.high }
  /// Whether the protocol was told to pause, and not yet to go on.
  var isPaused: Bool { marks.isPaused }
  var isEmpty: Bool { count == 0 }

  /// Sets the marks. Without `low` it is a quarter of `high`; without both, 16 and 64 KiB.
  mutating func setLimits(high newHigh: Int?, low newLow: Int?) -> Signal {
    marks.set(high: newHigh, low: newLow)
    return signal()
  }

  mutating func append(_ bytes: Span<UInt8>) -> Signal {
    guard bytes.count > 0 else { return .none }
    count += bytes.count
    if let last = chunks.indices.last, chunks[last].count + bytes.count <= WriteBuffer.chunkCapacity {
      chunks[last].append(copying: bytes)
    } else {
      var chunk: [UInt8] = []
      chunk.reserveCapacity(max(bytes.count, WriteBuffer.chunkCapacity))
      chunk.append(copying: bytes)
      chunks.append(chunk)
    }
    return signal()
  }

  /// Takes over whole chunks without a copy, but for the first `skipping` bytes, which were sent already.
  mutating func append(contentsOf lines: [[UInt8]], skipping: Int) -> Signal {
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
    return signal()
  }

  /// The chunks for the next system call; without the first ``firstOffset`` bytes.
  var front: [[UInt8]] { Array(chunks.prefix(WriteBuffer.gatherLimit)) }

  /// Removes what the kernel took from the front.
  mutating func consume(_ taken: Int) -> Signal {
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
    return signal()
  }

  /// Drops everything, without a word to the protocol: there is no more to write for.
  mutating func discard() {
    chunks.removeAll()
    firstOffset = 0
    count = 0
  }

  private mutating func signal() -> Signal { marks.signal(count: count) }
}
