// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct TimerQueueTests {
  private func add(_ queue: Boxed<TimerQueue>, _ deadline: Int64) -> Numbered {
    let entry = Numbered(Int(deadline))
    entry.timerTicket = queue.value.add(.wakeUp(entry), deadline: deadline)
    return entry
  }

  private func cancel(_ queue: Boxed<TimerQueue>, _ entry: Numbered) {
    if let ticket = entry.timerTicket.take() { queue.value.cancel(ticket) }
  }

  private func pop(_ queue: Boxed<TimerQueue>, by now: Int64) -> Numbered? {
    guard case .wakeUp(let entry)? = queue.value.popDue(by: now) else { return nil }
    return entry as? Numbered
  }

  @Test func earliestFirst() {
    let queue = Boxed(TimerQueue())
    for deadline in [5, 3, 9, 1, 7, -2, .max, .min] as [Int64] { _ = add(queue, deadline) }
    #expect(queue.nextDeadline() == .min)
    var order: [Int] = []
    while let next = pop(queue, by: .max) { order.append(next.number) }
    #expect(order == [.min, -2, 1, 3, 5, 7, 9, .max])
    #expect(queue.value.count == 0 && queue.nextDeadline() == nil)
  }

  @Test func notBeforeItIsDue() {
    let queue = Boxed(TimerQueue())
    let only = add(queue, 10)
    #expect(pop(queue, by: 9) == nil)
    #expect(pop(queue, by: 10) === only)
  }

  @Test("equal deadlines keep the order of scheduling")
  func equalDeadlines() {
    let queue = Boxed(TimerQueue())
    let first = (0..<500).map { _ in add(queue, 7) }
    let earlier = (0..<500).map { _ in add(queue, 6) }
    for entry in earlier + first { #expect(pop(queue, by: 7) === entry) }
  }

  @Test("cancelled entries leave at once, from anywhere in the queue, and the others keep their order")
  func cancelAnywhere() {
    for step in 1...7 {
      let queue = Boxed(TimerQueue())
      // Neither in the order of their deadlines nor in the opposite one.
      let entries = (0..<211).map { add(queue, Int64($0 * 97 % 211)) }
      var expected: [Int] = []
      for (index, entry) in entries.enumerated() {
        if index % step == 0 { cancel(queue, entry) } else { expected.append(entry.number) }
      }
      #expect(queue.value.count == expected.count)
      var order: [Int] = []
      while let next = pop(queue, by: .max) { order.append(next.number) }
      #expect(order == expected.sorted())
    }
  }

  @Test("Slots are used again, the last one first")
  func slots() {
    let queue = Boxed(TimerQueue())
    let entries = (0..<10).map { add(queue, Int64($0)) }
    let (third, seventh) = (entries[3].timerTicket?.slot, entries[7].timerTicket?.slot)
    cancel(queue, entries[3])
    cancel(queue, entries[7])
    #expect(add(queue, 1).timerTicket?.slot == seventh)
    #expect(add(queue, 1).timerTicket?.slot == third)
    #expect(add(queue, 1).timerTicket?.slot == 10)
  }

  @Test("a ticket whose entry has come up, or was cancelled, cancels nothing, whoever has its slot")
  func staleTickets() throws {
    let queue = Boxed(TimerQueue())
    let entries = (0..<10).map { add(queue, Int64($0)) }
    let cancelled = try #require(entries[9].timerTicket)
    cancel(queue, entries[9])
    let popped = try #require(entries[0].timerTicket)
    #expect(pop(queue, by: 0) === entries[0])
    // The slots are free, then others', then in a queue that is emptied.
    for ticket in [cancelled, popped] { queue.value.cancel(ticket) }
    #expect(queue.value.count == 8)
    let (first, second) = (add(queue, 20), add(queue, 20))
    #expect(Set([first, second].map(\.timerTicket?.slot)) == [cancelled.slot, popped.slot])
    for ticket in [cancelled, popped] { queue.value.cancel(ticket) }
    #expect(queue.value.count == 10)
    for number in 1...8 { #expect(pop(queue, by: 20) === entries[number]) }
    #expect(pop(queue, by: 20) === first && pop(queue, by: 20) === second)
    for ticket in [cancelled, popped] { queue.value.cancel(ticket) }
    _ = queue.removeAll()
    for ticket in [cancelled, popped] { queue.value.cancel(ticket) }
    #expect(queue.value.count == 0)
  }

  @Test("equal deadlines keep their order also where the sequence begins again")
  func sequenceOverflow() {
    let queue = Boxed(TimerQueue(sequence: .max - 100))
    let entries = (0..<200).map { _ in add(queue, 7) }
    for entry in entries { #expect(pop(queue, by: 7) === entry) }
  }

  @Test("a cancelled timer lets go of its closure, and its queue of it, at once")
  func cancelReleases() {
    var released = 0
    var probe: ReleaseProbe? = ReleaseProbe { released += 1 }
    let core = LoopCore.unused
    let call = core.makeCall { [probe] in probe?.touch() }
    core.schedule(call, at: .init(nanoseconds: 1))
    #expect(core.nextDeadline() == 1)
    probe = nil
    #expect(released == 0)
    call.cancel()
    #expect(released == 1)
    #expect(core.nextDeadline() == nil)
    #expect(call.timerTicket == nil)
  }

  @Test("The queue lets go of what has come up, and of what was cancelled", arguments: [false, true])
  func letsGo(cancels: Bool) {
    let queue = Boxed(TimerQueue())
    weak var gone: Numbered?
    do {
      let entry = add(queue, 1)
      gone = entry
      if cancels { cancel(queue, entry) } else { #expect(pop(queue, by: 1) === entry) }
    }
    #expect(gone == nil)
  }

  @Test func removeAllGivesWhatIsNotCancelled() {
    let queue = Boxed(TimerQueue())
    let entries = (0..<10).map { add(queue, Int64($0)) }
    cancel(queue, entries[3])
    _ = pop(queue, by: 0)
    let left = queue.removeAll()
    #expect(left.count == 8)
    #expect(queue.value.count == 0 && queue.nextDeadline() == nil)
    #expect(queue.removeAll().isEmpty)
  }

  @Test("random operations agree with a sorted list", arguments: 1...20 as ClosedRange<UInt64>)
  func model(_ seed: UInt64) {
    struct Model: Comparable {
      var entry: Numbered
      var deadline: Int64
      var sequence: Int
      static func == (a: Model, b: Model) -> Bool { a.sequence == b.sequence }
      static func < (a: Model, b: Model) -> Bool {
        a.deadline == b.deadline ? a.sequence < b.sequence : a.deadline < b.deadline
      }
    }
    var random = SplitMix(state: seed)
    let queue = Boxed(TimerQueue())
    var model: [Model] = []
    var sequence = 0
    // Some seeds cancel much; some have few distinct deadlines.
    let cancelWeight = Int(seed % 4) * 3 + 1
    let range: ClosedRange<Int64> = seed % 2 == 0 ? 0...20 : 0...1_000_000
    for _ in 0..<4000 {
      switch Int.random(in: 0..<(10 + cancelWeight), using: &random) {
      case 0..<7:
        let deadline = Int64.random(in: range, using: &random)
        model.append(Model(entry: add(queue, deadline), deadline: deadline, sequence: sequence))
        sequence += 1
      case 7..<10:
        let now = Int64.random(in: range, using: &random)
        let due = model.min()
        let expected = due.flatMap { $0.deadline <= now ? $0 : nil }
        #expect(queue.nextDeadline() == due?.deadline)
        #expect(pop(queue, by: now) === expected?.entry)
        if let expected { model.removeAll { $0.sequence == expected.sequence } }
      default:
        guard let index = model.indices.randomElement(using: &random) else { break }
        cancel(queue, model.remove(at: index).entry)
      }
    }
    model.sort()
    for due in model { #expect(pop(queue, by: .max) === due.entry) }
    #expect(pop(queue, by: .max) == nil)
    #expect(queue.value.count == 0)
  }
}

// An expectation cannot change a value, only an object.
extension Boxed<TimerQueue> {
  fileprivate func nextDeadline() -> Int64? { value.nextDeadline }
  fileprivate func removeAll() -> [TimerQueue.Entry] { value.removeAll().map(\.entry) }
}

struct NoWaker: Waker { func wake() {} }

/// Random numbers that are the same in each run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
