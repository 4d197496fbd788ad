// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Synchronization

/// Which loop of the process handles which signal.
///
/// A signal's disposition belongs to the whole process, and its handler runs on whichever thread the kernel picks. So
/// there is one table; changes take its lock, and the handler, which must not, sees atomics alone.
///
/// A loop that gives up a signal closes its counter soon after, and the counter's number may then be another descriptor.
/// By that time no handler may be about to write to it. So each slot counts the handlers that are at work in it, from before
/// they look for the queue until they have done with it, and who takes a queue out of a slot waits until none is. That is a
/// handful of instructions on another thread, which nothing can hold up.
enum SignalTable {
  final class Slot: Sendable {
    /// The queue of the loop that asked for the signal, as a pointer's bits; zero for none.
    fileprivate let handler = Atomic<UInt>(0)
    /// The same, of the loop whose program the signal is to end in good order, as long as nobody asked for the signal.
    fileprivate let ending = Atomic<UInt>(0)
    /// How many handlers are looking at the slot at this moment.
    fileprivate let inside = Atomic(0)

    func leave() { _ = inside.subtract(1, ordering: .sequentiallyConsistent) }
  }

  private struct Claims {
    var handlers: [Signal: SignalQueue] = [:]
    /// The queues of programs that a signal is to end in good order.
    var endings: [Signal: SignalQueue] = [:]
    /// What to put back.
    var former: [Signal: SignalDisposition] = [:]
  }

  private static let claims = Mutex(Claims())

  /// A slot for each signal, by number, for as long as the process lives.
  private static let slots = (0..<65).map { _ in Slot() }

  /// How many signals have come by now that are to end the program: the first does so in good order, the next at once.
  private static let endingCount = Atomic(0)

  /// Swift sets some things up lazily in the first call that needs them, and may take locks for that. A signal handler must
  /// not, so that the first call is made here.
  private static let rehearsal: Void = {
    let queue = SignalQueue(counter: .init(rawValue: -1))
    slots[0].handler.store(bits(of: queue), ordering: .sequentiallyConsistent)
    signalArrived(0)
    slots[0].handler.store(0, ordering: .sequentiallyConsistent)
    withExtendedLifetime(queue) {}
  }()

  // MARK: Claiming

  /// Sends a signal to a queue from now on; false when it goes to another one.
  static func claim(_ signal: Signal, for queue: SignalQueue, _ kernel: any Kernel) throws(Errno) -> Bool {
    rehearsal
    return try claims.withLock { (claims) throws(Errno) in
      if let owner = claims.handlers[signal] { return owner === queue }
      let slot = slots[Int(signal.rawValue)]
      // The queue first: once the disposition is set, no signal is lost.
      slot.handler.store(bits(of: queue), ordering: .sequentiallyConsistent)
      do throws(Errno) {
        try install(signal, &claims, kernel)
      } catch {
        slot.handler.store(0, ordering: .sequentiallyConsistent)
        throw error
      }
      claims.handlers[signal] = queue
      return true
    }
  }

  /// Ends the claim of a queue to a signal. Once this returns no handler knows the queue.
  static func release(_ signal: Signal, by queue: SignalQueue, _ kernel: any Kernel) {
    claims.withLock { claims in
      guard claims.handlers[signal] === queue else { return }
      claims.handlers[signal] = nil
      if claims.endings[signal] == nil { restore(signal, &claims, kernel) }
      let slot = slots[Int(signal.rawValue)]
      slot.handler.store(0, ordering: .sequentiallyConsistent)
      waitForHandlers(slot, queue)
    }
  }

  /// Sends the first signal that is to end the program to a queue, and has the second, of whichever kind, end the process,
  /// as long as nobody claims the signal itself; false when the program has a handler of its own or ignores the signal.
  static func claimEnding(_ signal: Signal, for queue: SignalQueue, _ kernel: any Kernel) throws(Errno) -> Bool {
    rehearsal
    return try claims.withLock { (claims) throws(Errno) in
      var former = claims.former[signal]
      if former == nil { former = try kernel.signalDisposition(signal) }
      guard former?.isDefault == true, claims.endings[signal] == nil else { return false }
      if claims.endings.isEmpty { endingCount.store(0, ordering: .sequentiallyConsistent) }
      let slot = slots[Int(signal.rawValue)]
      slot.ending.store(bits(of: queue), ordering: .sequentiallyConsistent)
      do throws(Errno) {
        try install(signal, &claims, kernel)
      } catch {
        slot.ending.store(0, ordering: .sequentiallyConsistent)
        throw error
      }
      claims.endings[signal] = queue
      return true
    }
  }

  /// Ends what ``claimEnding(_:for:_:)`` began. Once this returns no handler knows the queue by it.
  static func releaseEndings(by queue: SignalQueue, _ kernel: any Kernel) {
    claims.withLock { claims in
      for (signal, owner) in claims.endings where owner === queue {
        claims.endings[signal] = nil
        if claims.handlers[signal] == nil { restore(signal, &claims, kernel) }
        let slot = slots[Int(signal.rawValue)]
        slot.ending.store(0, ordering: .sequentiallyConsistent)
        waitForHandlers(slot, queue)
      }
    }
  }

  private static func install(_ signal: Signal, _ claims: inout Claims, _ kernel: any Kernel) throws(Errno) {
    let former = try kernel.setSignalDisposition(signal, .delivery)
    if !former.isDelivery { claims.former[signal] = former }
  }

  /// Puts back what was there before, unless the program has put something else there meanwhile.
  private static func restore(_ signal: Signal, _ claims: inout Claims, _ kernel: any Kernel) {
    guard let former = claims.former.removeValue(forKey: signal) else { return }
    if let current = try? kernel.signalDisposition(signal), !current.isDelivery { return }
    _ = try? kernel.setSignalDisposition(signal, former)
  }

  private static func waitForHandlers(_ slot: Slot, _ queue: SignalQueue) {
    // In a forked child there are no other threads, and what they were doing will never end.
    while slot.inside.load(ordering: .sequentiallyConsistent) > 0, queue.process == getpid() {
      sched_yield()
    }
  }

  /// The claims keep the queue alive as long as a slot has it.
  private static func bits(of queue: SignalQueue) -> UInt {
    unsafe UInt(bitPattern: Unmanaged.passUnretained(queue).toOpaque())
  }

  private static func queue(_ bits: UInt) -> SignalQueue? {
    unsafe UnsafeRawPointer(bitPattern: bits).map { unsafe Unmanaged.fromOpaque($0).takeUnretainedValue() }
  }

  // MARK: The handler

  /// What the kernel calls. Only what is safe in a signal handler: atomics that exist already, writing to a counter,
  /// asking who we are, setting a disposition, sending a signal.
  static func signalArrived(_ number: Int32) {
    let saved = casyncio_errno()
    // The kernel calls this for signals that it was installed for, whose slots exist.
    let slot = enter(number)
    if let queue = queue(slot.handler.load(ordering: .sequentiallyConsistent)) {
      deliver(number, to: queue)
    } else if let queue = queue(slot.ending.load(ordering: .sequentiallyConsistent)) {
      if endingCount.add(1, ordering: .sequentiallyConsistent).oldValue == 0 {
        deliver(number, to: queue)
      } else {
        die(of: number)
      }
    }
    slot.leave()
    casyncio_set_errno(saved)
  }

  /// Counts a handler in: until it leaves, no queue is taken out of the slot.
  static func enter(_ number: Int32) -> Slot {
    let slot = slots[Int(number)]
    _ = slot.inside.add(1, ordering: .sequentiallyConsistent)
    return slot
  }

  private static func deliver(_ number: Int32, to queue: SignalQueue) {
    // A child that was forked, and runs no other program yet, shares the counter with its parent, for whom the signal
    // was not meant. Nobody in the child will handle it.
    if queue.process == getpid() { queue.push(number) } else { die(of: number) }
  }

  /// Has the signal do what it does by default, as soon as the handler returns.
  private static func die(of number: Int32) {
    casyncio_reset_signal(number)
    // Not `raise`, which in a child that shares our memory would hit the parent's thread.
    kill(getpid(), number)
  }
}
