// SPDX-License-Identifier: Apache-2.0

/// The connections of a server that have not ended. Each knows its place, which is another's once it has ended.
struct ConnectionTable {
  private struct Entry {
    /// What is done to all is done in the order in which they came, so that it is the same in each run.
    var number: Int
    var transport: StreamTransport?
  }

  private static let keptPlaces = 64

  private var entries: [Entry] = []
  /// The places that are free, the latest of them last.
  private var free: [Int32] = []
  /// How many connections there have been.
  private var insertedCount = 0

  var count: Int { entries.count - free.count }
  var isEmpty: Bool { count == 0 }

  /// All of them, in the order in which they came.
  var all: [StreamTransport] {
    entries.filter { $0.transport != nil }.sorted { $0.number < $1.number }.compactMap(\.transport)
  }

  mutating func insert(_ transport: StreamTransport) {
    insertedCount += 1
    let entry = Entry(number: insertedCount, transport: transport)
    if let place = free.popLast() {
      transport.place = place
      entries[Int(place)] = entry
    } else {
      transport.place = Int32(entries.count)
      entries.append(entry)
    }
  }

  mutating func remove(_ transport: StreamTransport) {
    entries[Int(transport.place)].transport = nil
    free.append(transport.place)
    // The memory of a flood is not kept.
    if isEmpty, entries.count > ConnectionTable.keptPlaces {
      entries.removeAll()
      free.removeAll()
    }
  }
}
