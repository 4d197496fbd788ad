// SPDX-License-Identifier: Apache-2.0

/// What is due when: a heap ordered by deadline, and among equal deadlines by the order of scheduling.
///
/// A cancelled entry is let go of at once. Its place in the heap stays until it comes up, or until such places are more
/// than half of a heap of over a hundred, when all of them are purged: so cancelling costs next to nothing.
struct TimerQueue {
  enum Entry {
    case callback(TimerHandle)
    case job(UnownedJob, JobExecutor)
  }

  /// A plain value, so that the heap moves it without counting references.
  private struct Node {
    var deadline: Int64
    var sequence: UInt64
    /// Where `entries` keeps what is due; nothing is there any more once that was cancelled.
    var slot: Int

    static func < (a: Node, b: Node) -> Bool {
      a.deadline < b.deadline || (a.deadline == b.deadline && a.sequence < b.sequence)
    }
  }

  /// A heap of four children a node: half as deep as a binary one, and its children share a cache line or two.
  private var heap: [Node] = []
  private var entries: [Entry?] = []
  private var freeSlots: [Int] = []
  private var nextSequence: UInt64 = 0
  /// How many of the places in the heap are of cancelled entries.
  private var cancelled = 0

  /// How many entries are left, cancelled ones that were not purged yet among them.
  var count: Int { heap.count }

  /// Adds an entry.
  ///
  /// - Returns: its slot, to cancel it by.
  @discardableResult
  mutating func add(_ entry: Entry, deadline: Int64) -> Int {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      entries[slot] = entry
    } else {
      slot = entries.count
      entries.append(entry)
    }
    let node = Node(deadline: deadline, sequence: nextSequence, slot: slot)
    nextSequence += 1
    heap.append(node)
    siftUp(node, from: heap.count - 1)
    return slot
  }

  /// Drops an entry that has neither come up nor been cancelled.
  mutating func cancel(slot: Int) {
    entries[slot] = nil
    cancelled += 1
    if heap.count > 100, cancelled > heap.count / 2 { purge() }
  }

  /// The earliest deadline of an entry that is not cancelled.
  mutating func nextDeadline() -> Int64? {
    while let first = heap.first {
      if entries[first.slot] != nil { return first.deadline }
      _ = removeFirst()
      cancelled -= 1
    }
    return nil
  }

  /// Takes the first entry, if it is due by then.
  mutating func popDue(by now: Int64) -> Entry? {
    guard let deadline = nextDeadline(), deadline <= now else { return nil }
    return removeFirst()
  }

  /// Takes everything that is left.
  mutating func removeAll() -> [(entry: Entry, deadline: Int64)] {
    let left = heap.sorted(by: <).compactMap { node in entries[node.slot].map { ($0, node.deadline) } }
    self = TimerQueue()
    return left
  }

  private mutating func removeFirst() -> Entry? {
    let slot = heap[0].slot
    let last = heap.removeLast()
    if !heap.isEmpty { siftDown(last, from: 0) }
    return release(slot)
  }

  private mutating func release(_ slot: Int) -> Entry? {
    freeSlots.append(slot)
    let entry = entries[slot]
    entries[slot] = nil
    return entry
  }

  private mutating func purge() {
    var live = 0
    for index in heap.indices {
      let node = heap[index]
      if entries[node.slot] == nil {
        freeSlots.append(node.slot)
      } else {
        heap[live] = node
        live += 1
      }
    }
    heap.removeLast(heap.count - live)
    cancelled = 0
    var index = (heap.count - 2) / 4
    while index >= 0, heap.count > 1 {
      siftDown(heap[index], from: index)
      index -= 1
    }
  }

  private mutating func siftUp(_ node: Node, from start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 4
      guard node < heap[parent] else { break }
      heap[index] = heap[parent]
      index = parent
    }
    heap[index] = node
  }

  private mutating func siftDown(_ node: Node, from start: Int) {
    var index = start
    let count = heap.count
    while true {
      let first = index * 4 + 1
      guard first < count else { break }
      var least = first
      for child in first + 1..<max(first + 1, min(first + 4, count)) where heap[child] < heap[least] { least = child }
      guard heap[least] < node else { break }
      heap[index] = heap[least]
      index = least
    }
    heap[index] = node
  }
}
