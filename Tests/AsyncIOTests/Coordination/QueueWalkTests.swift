// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("A random walk with cancellations, beside a model: queues")
struct QueueWalkTests {
  enum Kind: CaseIterable {
    case fifo, lifo, priority
  }

  /// An element that can be told from its equals.
  private struct Item: Comparable {
    let priority: Int
    let number: Int
    static func < (a: Item, b: Item) -> Bool { a.priority < b.priority }
    static func == (a: Item, b: Item) -> Bool { a.priority == b.priority }
  }

  private final class Model {
    let kind: Kind
    let maxCount: Int
    var items: [Item] = []
    var getting: [Walk<Int>.Call] = []
    var putting: [(call: Walk<Int>.Call, item: Item)] = []
    var joining: [Walk<Int>.Call] = []
    var unfinished = 0
    var isShutDown = false

    init(_ kind: Kind, _ maxCount: Int) {
      self.kind = kind
      self.maxCount = maxCount
    }

    func admit(_ item: Item) -> Bool {
      if isShutDown || items.count == maxCount { return false }
      unfinished += 1
      if getting.isEmpty { items.append(item) } else { getting.removeFirst().expected = .value(item.number) }
      return true
    }

    func put(_ call: Walk<Int>.Call, _ item: Item) {
      if isShutDown {
        call.expected = .error(.queueShutDown)
      } else if admit(item) {
        call.expected = .value(-1)
      } else if call.isCancelled {
        call.expected = .cancelled
      } else {
        putting.append((call, item))
      }
    }

    func pop() -> Item? {
      guard !items.isEmpty else { return nil }
      let item: Item
      switch kind {
      case .fifo: item = items.removeFirst()
      case .lifo: item = items.removeLast()
      case .priority:
        let place = items.indices.min { (items[$0].priority, $0) < (items[$1].priority, $1) }
        item = items.remove(at: place!)
      }
      if !putting.isEmpty {
        let (call, late) = putting.removeFirst()
        call.expected = .value(-1)
        unfinished += 1
        items.append(late)
      }
      return item
    }

    func get(_ call: Walk<Int>.Call) {
      if let item = pop() {
        call.expected = .value(item.number)
      } else if isShutDown {
        call.expected = .error(.queueShutDown)
      } else if call.isCancelled {
        call.expected = .cancelled
      } else {
        getting.append(call)
      }
    }

    func join(_ call: Walk<Int>.Call) {
      if unfinished == 0 {
        call.expected = .value(-2)
      } else if call.isCancelled {
        call.expected = .cancelled
      } else {
        joining.append(call)
      }
    }

    func finish(_ count: Int) {
      unfinished -= count
      if unfinished > 0 { return }
      for call in joining { call.expected = .value(-2) }
      joining.removeAll()
    }

    func shutDown(immediate: Bool) {
      isShutDown = true
      for call in getting + putting.map(\.call) { call.expected = .error(.queueShutDown) }
      getting.removeAll()
      putting.removeAll()
      if immediate {
        let count = items.count
        items.removeAll()
        finish(min(count, unfinished))
      }
    }

    func cancel(_ call: Walk<Int>.Call) {
      let before = getting.count + putting.count + joining.count
      getting.removeAll { $0 === call }
      putting.removeAll { $0.call === call }
      joining.removeAll { $0 === call }
      if getting.count + putting.count + joining.count < before { call.expected = .cancelled }
    }
  }

  @Test("queues", arguments: WalkLength.seeds, Kind.allCases)
  func queue(_ seed: UInt64, _ kind: Kind) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let walk = Walk<Int>(loop, seed)
      var numbers = 0
      func newItem() -> Item {
        numbers += 1
        return Item(priority: walk.number(below: 4), number: numbers)
      }
      func make() -> (Queue<Item>, Model) {
        let maxCount = walk.chance(of: 4) ? nil : walk.number(below: 4) + 1
        let queue =
          switch kind {
          case .fifo: Queue<Item>(loop, maxCount: maxCount)
          case .lifo: LIFOQueue<Item>(loop, maxCount: maxCount)
          case .priority: PriorityQueue<Item>(loop, maxCount: maxCount)
          }
        return (queue, Model(kind, maxCount ?? .max))
      }
      var (queue, model) = make()
      walk.onCancel = { model.cancel($0) }
      // Towards full for a while, then towards empty.
      var puts = 8
      try await walk.run {
        if walk.chance(of: 100) { puts = 4 + walk.number(below: 9) }
        let dice = walk.number(below: 16)
        if dice < puts {
          let item = newItem()
          if walk.chance(of: 3) {
            #expect(queue.tryPut(item) == model.admit(item), "seed \(seed), step \(walk.number)")
          } else {
            walk.call({ [queue] in
              try await queue.put(item)
              return -1
            }) { [model] in model.put($0, item) }
          }
        } else if dice < 13 {
          if walk.chance(of: 3) {
            #expect(queue.tryGet()?.number == model.pop()?.number, "seed \(seed), step \(walk.number)")
          } else {
            walk.call({ [queue] in try await queue.get().number }) { [model] in model.get($0) }
          }
        } else if dice == 13, model.unfinished > 0 {
          queue.taskDone()
          model.finish(1)
        } else if dice == 14 {
          walk.call({ [queue] in
            try await queue.join()
            return -2
          }) { [model] in model.join($0) }
        } else if walk.chance(of: 20) {
          let immediate = walk.chance(of: 2)
          queue.shutdown(immediate: immediate)
          model.shutDown(immediate: immediate)
        } else if model.isShutDown, model.joining.isEmpty, walk.calls.allSatisfy(\.hasBegun) {
          (queue, model) = make()
        }
      } check: {
        if queue.count != model.items.count { return "\(queue.count) elements, not \(model.items.count)" }
        if queue.isEmpty != model.items.isEmpty { return "isEmpty is \(queue.isEmpty)" }
        if queue.isFull != (model.items.count == model.maxCount) { return "isFull is \(queue.isFull)" }
        return queue.isShutDown == model.isShutDown ? nil : "isShutDown is \(queue.isShutDown)"
      }
    }
  }
}
