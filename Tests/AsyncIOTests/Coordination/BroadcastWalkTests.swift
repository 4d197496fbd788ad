// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Random walks with cancellations, beside a model: broadcasts and watches")
struct BroadcastWalkTests {
  /// An element that is counted while it lives.
  private final class Element {
    let number: Int
    private let alive: Boxed<Int>

    init(_ number: Int, _ alive: Boxed<Int>) {
      self.number = number
      self.alive = alive
      alive.value += 1
    }

    deinit { alive.value -= 1 }
  }

  private struct Received: Equatable {
    /// Nil at the end.
    var number: Int?
    var missed = 0
  }

  private final class Reader {
    let subscription: Broadcast<Element>.Subscription
    /// How many elements were sent before the next that it gets.
    var position: Int
    /// The call that waits, or was woken and has not gone on.
    var call: Walk<Received>.Call?
    var wasWoken = false

    init(_ subscription: Broadcast<Element>.Subscription, _ position: Int) {
      self.subscription = subscription
      self.position = position
    }
  }

  @Test("a broadcast", arguments: WalkLength.seeds)
  func broadcast(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let walk = Walk<Received>(loop, seed)
      let capacity = walk.number(below: 5) + 1
      let broadcast = Broadcast<Element>(loop, capacity: capacity)
      let alive = Boxed(0)
      var sent = 0
      var readers: [Reader] = []
      func take(_ reader: Reader) -> Received? {
        guard reader.position < sent else { return nil }
        let missed = max(0, sent - capacity - reader.position)
        reader.position += missed + 1
        return Received(number: reader.position, missed: missed)
      }
      walk.onCancel = { call in
        guard let reader = readers.first(where: { $0.call === call }), !reader.wasWoken else { return }
        reader.call = nil
        call.expected = .cancelled
      }
      try await walk.run {
        switch walk.number(below: 12) {
        case 0 where readers.count < 6:
          readers.append(Reader(broadcast.subscribe(), sent))
        case 1 where walk.chance(of: 3):
          guard let place = readers.indices.randomElement(using: &walk.random), readers[place].call == nil else {
            return
          }
          // A call that has returned keeps its subscription until it is settled.
          guard walk.calls.allSatisfy({ $0.expected == .waits }) else { return }
          readers.remove(at: place)
        case 2...5:
          #expect(broadcast.send(Element(sent + 1, alive)) == readers.count, "seed \(seed)")
          if readers.isEmpty { return }
          sent += 1
          for reader in readers where reader.call != nil && !reader.wasWoken {
            reader.wasWoken = true
            walk.later { [unowned reader] in
              reader.call?.expected = .value(take(reader)!)
              reader.call = nil
              reader.wasWoken = false
            }
          }
        case 6...7:
          guard let reader = readers.randomElement(using: &walk.random), reader.call == nil else { return }
          let message = reader.subscription.tryNext()
          let received = message.map { Received(number: $0.element.number, missed: $0.missed) }
          #expect(received == take(reader), "seed \(seed), step \(walk.number)")
        default:
          guard let reader = readers.randomElement(using: &walk.random), reader.call == nil else { return }
          walk.call({ [subscription = reader.subscription] in
            guard let message = try await subscription.next() else { return Received() }
            return Received(number: message.element.number, missed: message.missed)
          }) { call in
            reader.wasWoken = false
            reader.call = nil
            if let received = take(reader) {
              call.expected = .value(received)
            } else if call.isCancelled {
              call.expected = .cancelled
            } else {
              reader.call = call
            }
          }
          if let call = walk.calls.last, !call.hasBegun {
            reader.call = call
            reader.wasWoken = true
          }
        }
      } check: {
        if broadcast.subscriberCount != readers.count { return "\(broadcast.subscriberCount) subscribers" }
        let slowest = readers.map(\.position).min() ?? sent
        let kept = min(capacity, sent - slowest)
        return alive.value == kept ? nil : "\(alive.value) elements are alive, not \(kept)"
      }
    }
  }

  @Test("a watch", arguments: WalkLength.seeds)
  func watch(_ seed: UInt64) throws {
    try runLoop(limits: WalkLength.limits) { loop, _ in
      let walk = Walk<Int>(loop, seed)
      let watch = Watch(loop, 0)
      let subscription = watch.subscribe()
      var (value, version, seen) = (0, 0, -1)
      var line: [(call: Walk<Int>.Call, wanted: Int?)] = []
      walk.onCancel = { call in
        guard let place = line.firstIndex(where: { $0.call === call }) else { return }
        line.remove(at: place)
        call.expected = .cancelled
      }
      func look(_ call: Walk<Int>.Call, _ wanted: Int?) {
        if let wanted, value == wanted {
          call.expected = .value(value)
        } else if wanted == nil, version != seen {
          seen = version
          call.expected = .value(value)
        } else if call.isCancelled {
          call.expected = .cancelled
        } else {
          line.append((call, wanted))
        }
      }
      try await walk.run {
        switch walk.number(below: 8) {
        case 0...2:
          value = walk.number(below: 4)
          version += 1
          watch.value = value
          let woken = line
          line.removeAll()
          for (call, wanted) in woken { walk.later { look(call, wanted) } }
        case 3:
          seen = version
          #expect(subscription.value == value, "seed \(seed)")
        case 4...5:
          walk.call({ try await subscription.next() ?? -1 }) { look($0, nil) }
        default:
          let wanted = walk.number(below: 4)
          walk.call({ try await watch.wait(until: { $0 == wanted }) }) { look($0, wanted) }
        }
      } check: {
        subscription.hasChanged == (version != seen) ? nil : "hasChanged is \(subscription.hasChanged)"
      }
    }
  }
}
