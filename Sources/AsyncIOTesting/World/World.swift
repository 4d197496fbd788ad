// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import HeapModule

/// A world of its own: one clock, what will happen by it, and the machines whose loops have their turns in it.
///
/// Everything in it happens on one thread, one thing after the other. So a run is decided by the choices that are drawn from
/// its seed, and by nothing else: who has the next turn, what arrives when, and how much a call does.
final class World {
  let clock = WorldClock()
  var now: Int64 { clock.now }
  /// What is drawn from the seed. Where nothing is, everything takes its natural course: in order, whole, at once.
  var choices: Choices
  var trace = Trace()
  private var events = Heap<ScheduledEvent>()
  private var nextSequence: UInt64 = 0
  /// Those whose loops have turns, in the order in which they came.
  private(set) var machines: [Machine] = []
  private var realThreads = RealThreads()
  /// Who had the last turn, where no choice is drawn.
  private var lastTurn = 0
  /// Who waits until nothing is left to do at the present moment.
  private var idleCallbacks: [() -> Void] = []
  /// Who waits until nothing is to happen any more, or till a moment.
  private var endCallbacks: [(limit: Int64, call: (Bool) -> Void)] = []
  /// How many turns there were since the clock has moved.
  private var turnsAtThisMoment = 0
  /// How many turns there may be in one moment: more is a loop that goes round in circles.
  static let turnLimit = 100_000
  /// How many turns there were.
  private(set) var turnCount = 0

  /// - Parameter choiceLimit: how many choices are drawn, of the first.
  init(seed: UInt64, choiceLimit: Int) {
    choices = Choices(seed: seed, limit: choiceLimit)
  }

  // MARK: Machines

  func add(_ machine: Machine) { machines.append(machine) }

  func remove(_ machine: Machine) { machines.removeAll { $0 === machine } }

  // MARK: What will happen

  @discardableResult
  func schedule(at time: Int64, _ action: @escaping () -> Void) -> ScheduledEvent {
    let event = ScheduledEvent(
      time: max(time, now), tieBreak: choices.tieBreak(), sequence: nextSequence, action)
    nextSequence += 1
    events.insert(event)
    return event
  }

  @discardableResult
  func schedule(after delay: Int64, _ action: @escaping () -> Void) -> ScheduledEvent {
    schedule(at: now &+ delay, action)
  }

  /// Calls back when nothing is left to do at the present moment.
  func whenIdle(_ callback: @escaping () -> Void) { idleCallbacks.append(callback) }

  /// Calls back when nothing is to happen any more, with true, or with false when something is only after that moment.
  func whenNothingIsLeft(until limit: Int64, _ callback: @escaping (Bool) -> Void) {
    endCallbacks.append((limit, callback))
  }

  // MARK: The course of things

  /// Lets things happen until the condition holds.
  ///
  /// - Throws: ``SimulationError`` when nothing can happen any more, or the clock stands still for too long.
  func run(until isDone: () -> Bool) throws {
    while !isDone() {
      guard try step() else { throw SimulationError(.deadlock, Deadlock(self).description) }
    }
  }

  /// Lets things happen until a moment is over, or the condition holds.
  func run(through end: Int64, until isDone: () -> Bool = { false }) throws {
    while !isDone() {
      guard try step(through: end) else { return }
    }
  }

  /// Lets the next thing happen.
  ///
  /// - Returns: false when nothing is to happen up to that time.
  func step(through end: Int64 = .max) throws -> Bool {
    if try doNextOfThisMoment() { return true }
    if !idleCallbacks.isEmpty {
      let callbacks = idleCallbacks
      idleCallbacks.removeAll()
      for callback in callbacks { callback() }
      return true
    }
    let next = nextMoment()
    if realThreads.mayAnswer(machines, now, isLast: next == nil) { return true }
    if tellNothingIsLeft(until: next) { return true }
    guard let next, next <= end else { return false }
    if next > now { turnsAtThisMoment = 0 } else { try count("the world had") }
    move(to: next)
    return true
  }

  /// Gives a loop its turn, or lets something arrive: whatever comes first of what can happen now. What arrives does so while
  /// loops are at work, too, and may be told before or after a timer of the same instant.
  ///
  /// - Returns: false when there is nothing.
  private func doNextOfThisMoment() throws -> Bool {
    let isEventDue = isEventDue
    guard choices.areDrawn else {
      if isEventDue {
        runDueEvent()
        return true
      }
      guard let machine = nextInTurn() else { return false }
      try giveTurn(to: machine)
      return true
    }
    let ready = machines.filter(\.isReady)
    let count = ready.count + (isEventDue ? 1 : 0)
    if count == 0 { return false }
    let chosen = choices.below(count)
    if chosen < ready.count { try giveTurn(to: ready[chosen]) } else { runDueEvent() }
    return true
  }

  /// The next machine that is ready, so that each gets its turn.
  private func nextInTurn() -> Machine? {
    for offset in 0..<machines.count {
      let index = (lastTurn + 1 + offset) % machines.count
      if machines[index].isReady {
        lastTurn = index
        return machines[index]
      }
    }
    return nil
  }

  private func giveTurn(to machine: Machine) throws {
    turnCount += 1
    try count("the loop of \(machine.name) had")
    if machine.loop.hasMessages { realThreads.somethingCame() }
    try machine.turn()
  }

  /// Counts what happens at one moment, where there is too much of it if it never ends.
  private func count(_ what: @autoclosure () -> String) throws {
    turnsAtThisMoment += 1
    if turnsAtThisMoment > World.turnLimit {
      throw SimulationError(
        .livelock, "\(what()) \(World.turnLimit) turns, and the clock has not moved: something reschedules itself")
    }
  }

  private var isEventDue: Bool {
    dropCancelled()
    return events.min.map { $0.time <= now } ?? false
  }

  private func runDueEvent() { events.removeMin().run() }

  /// Calls back those who wait for that; false when there are none.
  private func tellNothingIsLeft(until next: Int64?) -> Bool {
    let told = endCallbacks.filter { next ?? .max > $0.limit || next == nil }
    if told.isEmpty { return false }
    endCallbacks.removeAll { next ?? .max > $0.limit || next == nil }
    for callback in told { callback.call(next == nil) }
    return true
  }

  private func dropCancelled() {
    while events.min?.isCancelled == true { events.removeMin() }
  }

  private func nextMoment() -> Int64? {
    dropCancelled()
    var next = events.min?.time
    for machine in machines {
      guard let deadline = machine.nextDeadline else { continue }
      next = min(next ?? .max, deadline)
    }
    return next
  }

  private func move(to time: Int64) {
    clock.set(max(now, time))
    StandardClocks.show(now)
    trace.note(now, 0, .time, now, 0, "\(Duration.nanoseconds(now))")
  }

  /// Drops what has not happened.
  func end() {
    events = Heap()
    idleCallbacks.removeAll()
    endCallbacks.removeAll()
  }
}
