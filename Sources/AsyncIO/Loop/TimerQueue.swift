// SPDX-License-Identifier: Apache-2.0
import BasicContainers

/// What is due when: a heap ordered by deadline, and among equal deadlines by the order of scheduling.
///
/// A cancelled entry leaves the heap at once. Most timers are time limits, which are cancelled soon after they were added:
/// their nodes are still near the heap's end, where nothing has to move, and their slots are still in the cache for the
/// next one.
struct TimerQueue: ~Copyable {
  enum Entry {
    case callback(ScheduledCall)
    case wakeUp(any Wakeable)
    case job(UnownedJob, JobExecutor)
  }

  /// A plain value, so that the heap moves it without counting references.
  // Not private: a debug build of another file, which destroys the queue, would miss its metadata (Swift 6.3.1).
  struct Node {
    var deadline: Int64
    /// Grows from entry to entry, and begins again at zero: of two, the one behind comes within half of its range.
    var sequence: UInt32
    /// Where `entries` keeps what is due.
    var slot: Int32

    static func < (a: Node, b: Node) -> Bool {
      a.deadline < b.deadline || (a.deadline == b.deadline && Int32(bitPattern: a.sequence &- b.sequence) < 0)
    }
  }

  /// A heap of four children a node: half as deep as a binary one, and its children share a cache line or two.
  private var heap = UniqueArray<Node>()
  private var entries = UniqueArray<Entry?>()
  /// Where the heap has the node of each slot, and of a free one the next free slot; apart from the entries, to be small
  /// enough for the cache.
  private var places = UniqueArray<Int32>()
  /// The slot that became free last; negative when there is none.
  private var firstFree: Int32 = -1
  private var nextSequence: UInt32

  /// - Parameter sequence: the first entry's place among those with the same deadline.
  init(sequence: UInt32 = 0) { nextSequence = sequence }

  /// How many entries are left.
  var count: Int { heap.count }

  /// Adds an entry.
  ///
  /// - Returns: what it is cancelled by.
  @inline(__always)  // Else the compiler passes the entry in a way that has to copy it.
  @discardableResult
  mutating func add(_ entry: consuming Entry, deadline: Int64) -> TimerTicket {
    let slot: Int32
    if firstFree >= 0 {
      slot = firstFree
      firstFree = places[Int(slot)]
      entries[Int(slot)] = entry
    } else {
      slot = Int32(entries.count)
      entries.append(entry)
      places.append(0)
    }
    let node = Node(deadline: deadline, sequence: nextSequence, slot: slot)
    nextSequence &+= 1
    heap.append(node)
    siftUp(node, from: heap.count - 1)
    return TimerTicket(slot: slot, sequence: node.sequence)
  }

  /// Drops an entry, unless it has come up, or was cancelled.
  mutating func cancel(_ ticket: TimerTicket) {
    guard ticket.slot < places.count else { return }
    // Of a free slot it is the next free one, where another entry's node may be.
    let place = Int(places[Int(ticket.slot)])
    if place >= 0, place < heap.count, heap[place].sequence == ticket.sequence { _ = remove(at: place) }
  }

  /// The earliest deadline.
  var nextDeadline: Int64? { heap.isEmpty ? nil : heap[0].deadline }

  /// Takes the first entry, if it is due by then.
  mutating func popDue(by now: Int64) -> Entry? {
    guard let deadline = nextDeadline, deadline <= now else { return nil }
    return remove(at: 0)
  }

  /// How many jobs are left.
  var jobCount: Int { entries.indices.count { if case .job = entries[$0] { true } else { false } } }

  /// Everything that is left, the earliest first.
  var all: [(entry: Entry, deadline: Int64)] {
    let nodes = heap.indices.map { heap[$0] }.sorted(by: <)
    return nodes.compactMap { node in entries[Int(node.slot)].map { ($0, node.deadline) } }
  }

  /// Takes everything that is left.
  mutating func removeAll() -> [(entry: Entry, deadline: Int64)] {
    let left = all
    self = TimerQueue()
    return left
  }

  private mutating func remove(at index: Int) -> Entry? {
    let slot = Int(heap[index].slot)
    let last = heap.removeLast()
    if index < heap.count {
      // It comes from elsewhere in the heap, and may belong above the place as well as below.
      if index > 0, last < heap[(index - 1) / 4] { siftUp(last, from: index) } else { siftDown(last, from: index) }
    }
    places[slot] = firstFree
    firstFree = Int32(truncatingIfNeeded: slot)
    return entries[slot].take()
  }

  private mutating func siftUp(_ node: Node, from start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 4
      let above = heap[parent]
      guard node < above else { break }
      heap[index] = above
      places[Int(above.slot)] = Int32(truncatingIfNeeded: index)
      index = parent
    }
    heap[index] = node
    places[Int(node.slot)] = Int32(truncatingIfNeeded: index)
  }

  private mutating func siftDown(_ node: Node, from start: Int) {
    var index = start
    let count = heap.count
    while true {
      let first = index * 4 + 1
      guard first < count else { break }
      var least = first
      for child in first + 1..<max(first + 1, min(first + 4, count)) where heap[child] < heap[least] { least = child }
      let below = heap[least]
      guard below < node else { break }
      heap[index] = below
      places[Int(below.slot)] = Int32(truncatingIfNeeded: index)
      index = least
    }
    heap[index] = node
    places[Int(node.slot)] = Int32(truncatingIfNeeded: index)
  }
}
