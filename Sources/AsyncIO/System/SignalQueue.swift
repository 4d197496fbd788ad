// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Synchronization
import SystemPackage

/// Signals on their way from signal handlers, on any thread, to the loop that wants them.
///
/// A handler may interrupt any line of any thread, so that `push` takes no lock, allocates nothing and never waits:
/// numbers go through a ring, in their order. When the ring is full, as in a storm against a loop that is busy, they
/// are counted by number. So every signal arrives, and the memory that they take has a limit; of those that were
/// counted, the order is lost.
@safe final class SignalQueue: @unchecked Sendable {
  // Sound: what is shared are atomics in memory that is ours from `init` to `deinit`.

  /// A power of two, so that positions may wrap around.
  static let capacity = 1024
  private static let numbers = 65

  /// The counter whose readiness tells the loop that there is something to take. The loop's signal handlers own it.
  let counter: FileDescriptor
  /// The process that the queue was made in. A forked child has a copy of it, and shares the counter.
  let process: pid_t
  /// What arrived, from `head` to `tail`. Zero is a place that is free, or that a handler has taken and not filled yet.
  private let ring: UnsafeMutablePointer<Atomic<UInt8>>
  private let head = Atomic<Int>(0)
  private let tail = Atomic<Int>(0)
  /// How many of each number found the ring full.
  private let surplus: UnsafeMutablePointer<Atomic<Int>>
  private let hasSurplus = Atomic(false)

  init(counter: FileDescriptor) {
    self.counter = counter
    process = getpid()
    unsafe ring = .allocate(capacity: SignalQueue.capacity)
    for index in 0..<SignalQueue.capacity { unsafe (ring + index).initialize(to: Atomic(0)) }
    unsafe surplus = .allocate(capacity: SignalQueue.numbers)
    for index in 0..<SignalQueue.numbers { unsafe (surplus + index).initialize(to: Atomic(0)) }
  }

  deinit {
    unsafe ring.deinitialize(count: SignalQueue.capacity)
    unsafe ring.deallocate()
    unsafe surplus.deinitialize(count: SignalQueue.numbers)
    unsafe surplus.deallocate()
  }

  /// Adds a signal, and tells the loop. Safe in a signal handler, and on any thread.
  func push(_ number: Int32) {
    add(number)
    // After the number is in its place: the loop drains the counter before it looks.
    wake()
  }

  /// Has the loop look. Safe in a signal handler, and on any thread.
  func wake() {
    _ = casyncio_counter_add(counter.rawValue)
  }

  private func add(_ number: Int32) {
    var position = tail.load(ordering: .acquiring)
    while position &- head.load(ordering: .acquiring) < SignalQueue.capacity {
      let taken = tail.compareExchange(expected: position, desired: position &+ 1, ordering: .acquiringAndReleasing)
      if taken.exchanged {
        // Nobody else has this place until the loop has emptied it, and the mask keeps the index in bounds.
        unsafe ring[position & (SignalQueue.capacity - 1)].store(UInt8(number), ordering: .releasing)
        return
      }
      position = taken.original
    }
    // The number is one of the table's slots.
    _ = unsafe surplus[Int(number)].add(1, ordering: .acquiringAndReleasing)
    hasSurplus.store(true, ordering: .releasing)
  }

  /// Takes what has arrived, at most twice the ring's capacity. For the loop's thread.
  ///
  /// - Returns: whether some may be left.
  func take(_ body: (Signal) -> Void) -> Bool {
    var position = head.load(ordering: .relaxed)
    for _ in 0..<SignalQueue.capacity {
      let number = unsafe ring[position & (SignalQueue.capacity - 1)].exchange(0, ordering: .acquiringAndReleasing)
      // Nothing there, or a handler is about to fill the place: it will tell the loop once it has.
      if number == 0 { break }
      position &+= 1
      head.store(position, ordering: .releasing)
      body(Signal(rawValue: Int32(number)))
    }
    return hasSurplus.exchange(false, ordering: .acquiringAndReleasing) ? takeSurplus(body) : false
  }

  private func takeSurplus(_ body: (Signal) -> Void) -> Bool {
    var room = SignalQueue.capacity
    for number in 0..<SignalQueue.numbers {
      // Only handlers change it meanwhile, and they only add.
      let count = min(unsafe surplus[number].load(ordering: .acquiring), room)
      _ = unsafe surplus[number].subtract(count, ordering: .acquiringAndReleasing)
      for _ in 0..<count { body(Signal(rawValue: Int32(number))) }
      room -= count
    }
    guard room == 0 else { return false }
    hasSurplus.store(true, ordering: .releasing)
    return true
  }
}
