// SPDX-License-Identifier: Apache-2.0
import DequeModule
import HeapModule

/// What is in a queue, and which of it comes next: all that queues differ in.
protocol QueueStore<Element> {
  associatedtype Element
  var count: Int { get }
  mutating func append(_ element: Element)
  /// Takes what comes next.
  mutating func popNext() -> Element?
  mutating func removeAll()
}

/// First in, first out.
struct FIFOStore<Element>: QueueStore {
  private var elements = Deque<Element>()

  var count: Int { elements.count }
  mutating func append(_ element: Element) { elements.append(element) }
  mutating func popNext() -> Element? { elements.popFirst() }
  mutating func removeAll() { elements.removeAll() }
}

/// Last in, first out.
struct LIFOStore<Element>: QueueStore {
  private var elements: [Element] = []

  var count: Int { elements.count }
  mutating func append(_ element: Element) { elements.append(element) }
  mutating func popNext() -> Element? { elements.popLast() }
  mutating func removeAll() { elements.removeAll() }
}

/// The least first, equals in the order in which they came.
struct PriorityStore<Element: Comparable>: QueueStore {
  private struct Entry: Comparable {
    let element: Element
    /// How many came before.
    let number: Int

    static func < (a: Entry, b: Entry) -> Bool {
      if a.element < b.element { return true }
      return b.element < a.element ? false : a.number < b.number
    }

    static func == (a: Entry, b: Entry) -> Bool { a.number == b.number }
  }

  private var entries = Heap<Entry>()
  private var nextNumber = 0

  var count: Int { entries.count }

  mutating func append(_ element: Element) {
    entries.insert(Entry(element: element, number: nextNumber))
    nextNumber += 1
  }

  mutating func popNext() -> Element? { entries.popMin()?.element }
  mutating func removeAll() { entries = Heap() }
}
