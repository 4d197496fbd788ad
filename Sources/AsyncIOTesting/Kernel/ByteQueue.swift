// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import DequeModule

/// Bytes that have arrived and were not read: chunks, of which the first may have been read in part.
struct ByteQueue {
  private var chunks = Deque<[UInt8]>()
  /// How much of the first chunk was read.
  private var offset = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func append(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    chunks.append(bytes)
    count += bytes.count
  }

  /// Moves bytes from the front, at most so many.
  ///
  /// - Returns: how many.
  mutating func read(into buffer: inout MutableSpan<UInt8>, limit: Int) -> Int {
    let wanted = min(limit, buffer.count, count)
    var done = 0
    while done < wanted {
      var rest = buffer._mutatingExtracting(done...)
      let end = min(chunks[0].count, offset + wanted - done)
      let chunk = chunks[0]
      let copied = rest.copyPrefix(of: chunk.span.extracting(offset..<end))
      done += copied
      offset += copied
      if offset == chunks[0].count {
        chunks.removeFirst()
        offset = 0
      }
    }
    count -= done
    return done
  }
}
