// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct ReadyQueueTests {
  /// A queue of numbered callbacks.
  private final class Fixture {
    var queue = ReadyQueue()

    static func entry(_ number: Int) -> ReadyQueue.Entry { .wakeUp(Numbered(number)) }

    func append(_ numbers: Int...) { for number in numbers { queue.append(Fixture.entry(number)) } }

    func takeStop() -> Bool { queue.takeStop() }
    func removeAll() -> [Int] {
      var left = queue.removeAll()
      var numbers: [Int] = []
      while let entry = left.popFirst() { numbers.append(Fixture.number(entry) ?? -1) }
      return numbers
    }

    static func number(_ entry: borrowing ReadyQueue.Entry) -> Int? {
      switch entry {
      case .wakeUp(let sleeper): (sleeper as? Numbered)?.number
      default: nil
      }
    }

    /// Takes everything that a batch with this limit may have.
    func take(before limit: Int? = nil) -> [Int] {
      let limit = limit ?? queue.tail
      var taken: [Int] = []
      while let entry = queue.next(before: limit), let number = Fixture.number(entry) { taken.append(number) }
      return taken
    }
  }

  @Test func firstInFirstOut() {
    let f = Fixture()
    #expect(f.queue.isEmpty && f.take() == [])
    f.append(1, 2, 3)
    #expect(f.queue.count == 3 && f.queue.tail == 3)
    #expect(f.take() == [1, 2, 3])
    f.append(4)
    #expect(f.queue.head == 3 && f.queue.tail == 4)
    #expect(f.take() == [4])
    #expect(!f.takeStop())
  }

  @Test func theLimitIsAPosition() {
    let f = Fixture()
    f.append(1, 2)
    let end = f.queue.tail
    f.append(3)
    #expect(f.take(before: end) == [1, 2])
    #expect(f.take(before: end) == [])
    #expect(f.take() == [3])
  }

  @Test func theMarkEndsARun() {
    let f = Fixture()
    f.append(1, 2)
    f.queue.markStop()
    f.append(3)
    #expect(!f.takeStop())
    #expect(f.take() == [1, 2])
    #expect(f.takeStop())
    #expect(!f.takeStop())
    #expect(f.take() == [3])
  }

  @Test("a mark behind the batch's limit is reached all the same")
  func theMarkBeatsTheLimit() {
    let f = Fixture()
    f.append(1)
    let end = f.queue.tail
    f.append(2)
    f.queue.markStop()
    f.append(3)
    #expect(f.take(before: end) == [1, 2])
    #expect(f.takeStop())
  }

  @Test("the first stop stands")
  func twoStops() {
    let f = Fixture()
    f.append(1)
    f.queue.markStop()
    f.append(2)
    f.queue.markStop()
    #expect(f.take() == [1])
    #expect(f.takeStop())
    #expect(f.queue.stopMark == nil)
    #expect(f.take() == [2])
  }

  @Test("a stop of an empty queue is used up at once")
  func stopOfNothing() {
    let f = Fixture()
    f.queue.markStop()
    #expect(f.take() == [])
    #expect(f.takeStop())
  }

  @Test("what was due before the stop goes in front of it, in order")
  func due() {
    let f = Fixture()
    f.append(1)
    f.queue.markStop()
    f.append(4)
    f.queue.appendDue(Fixture.entry(2))
    f.queue.appendDue(Fixture.entry(3))
    #expect(f.take() == [1, 2, 3])
    #expect(f.takeStop())
    f.queue.appendDue(Fixture.entry(5))
    #expect(f.take() == [4, 5])
  }

  @Test("what was due is put right when part of the queue is taken")
  func dueAfterHead() {
    let f = Fixture()
    f.append(1, 2, 3)
    #expect(f.take(before: 2) == [1, 2])
    f.queue.markStop()
    f.append(5)
    f.queue.appendDue(Fixture.entry(4))
    #expect(f.take() == [3, 4])
    #expect(f.takeStop())
    #expect(f.take() == [5])
  }

  @Test func removeAll() {
    let f = Fixture()
    f.append(1, 2, 3)
    f.queue.markStop()
    #expect(f.take(before: 1) == [1, 2, 3])
    f.append(4, 5)
    #expect(f.removeAll() == [4, 5])
    #expect(f.queue.isEmpty && f.queue.stopMark == nil)
    #expect(f.queue.head == 5 && f.queue.tail == 5, "no position is another entry's")
    f.append(6)
    #expect(f.take() == [6])
  }
}

/// What a queue holds, with a number to tell it from others.
final class Numbered: Wakeable {
  let number: Int
  var timerTicket: TimerTicket?

  init(_ number: Int) { self.number = number }

  func wake() {}
}

extension LoopCore {
  /// The queues of no loop.
  static var unused: LoopCore {
    LoopCore(mailbox: Mailbox(waker: NoWaker()), clock: EventLoop.Clock(kernel: LinuxKernel.shared))
  }
}
