// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO
  import Glibc
  package import SystemPackage

  /// epoll, level-triggered. The event data carries the descriptor and the generation of its owner.
  @safe package final class EpollPoller: Poller {
    /// How many events one wait can report; what does not fit is reported by the next.
    private static let capacity = 512

    /// The epoll instance, ours from `init` to `close`.
    private let epoll: FileDescriptor
    /// Where the kernel writes events: ours, freed in `deinit`.
    private let events: UnsafeMutablePointer<epoll_event>
    private let eventWaker: EventWaker
    /// `epoll_pwait2`, which waits for nanoseconds rather than milliseconds.
    private let nanosecondWait: NewerCall

    package static let nanosecondWait = NewerCall()

    package var waker: any Waker { eventWaker }

    /// What it has open, for the tests' books.
    var descriptors: [FileDescriptor] { [epoll, eventWaker.counter] }

    /// - Parameter nanosecondWait: whether the process may use `epoll_pwait2`. Tests bring their own.
    package init(nanosecondWait: NewerCall = nanosecondWait) throws(Errno) {
      self.nanosecondWait = nanosecondWait
      let epoll = FileDescriptor(rawValue: try systemCall { epoll_create1(Int32(EPOLL_CLOEXEC)) })
      do throws(Errno) {
        eventWaker = try EventWaker()
      } catch {
        _ = Glibc.close(epoll.rawValue)
        throw error
      }
      self.epoll = epoll
      unsafe events = .allocate(capacity: EpollPoller.capacity)
      do throws(Errno) {
        // Edge-triggered: each write is an edge of its own, so that nobody ever has to read the counter.
        try control(
          EPOLL_CTL_ADD, eventWaker.counter.rawValue, EPOLLIN.rawValue | EPOLLET.rawValue,
          generation: EpollPoller.wakeGeneration)
      } catch {
        close()
        throw error
      }
    }

    deinit { unsafe events.deallocate() }

    /// Marks the waker's own event; the readiness table starts to count above it.
    private static let wakeGeneration: UInt32 = 0

    package func add(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
      try control(EPOLL_CTL_ADD, descriptor.rawValue, interest.epollEvents, generation: generation)
    }

    package func modify(_ descriptor: FileDescriptor, _ interest: Interest, generation: UInt32) throws(Errno) {
      try control(EPOLL_CTL_MOD, descriptor.rawValue, interest.epollEvents, generation: generation)
    }

    package func remove(_ descriptor: FileDescriptor) throws(Errno) {
      try control(EPOLL_CTL_DEL, descriptor.rawValue, 0, generation: 0)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ events: UInt32, generation: UInt32)
      throws(Errno)
    {
      var event = unsafe epoll_event()
      unsafe event.events = events
      unsafe event.data.u64 = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
      _ = try systemCall { unsafe epoll_ctl(epoll.rawValue, operation, descriptor, &event) }
    }

    package func wait(timeout: Int64?, into ready: inout [PollEvent]) throws(Errno) {
      let count: Int
      do throws(Errno) {
        count = Int(try rawWait(timeout: timeout))
      } catch Errno.interrupted {
        // A signal ends the wait early. The loop looks at its queues and comes back.
        return
      }
      // All at once: the array need not ask for each event whether it is ours alone and has room.
      ready.append(addingCapacity: count) { ready in
        for index in 0..<count {
          let data = unsafe events[index].data.u64
          let generation = UInt32(data >> 32)
          if generation == EpollPoller.wakeGeneration { continue }
          ready.append(
            PollEvent(
              descriptor: Int32(bitPattern: UInt32(truncatingIfNeeded: data)), generation: generation,
              ready: Interest(epollEvents: unsafe events[index].events)))
        }
      }
    }

    private func rawWait(timeout: Int64?) throws(Errno) -> Int32 {
      let capacity = Int32(EpollPoller.capacity)
      guard let timeout, timeout > 0 else {
        return try systemCallOnce { unsafe epoll_wait(epoll.rawValue, events, capacity, timeout == nil ? -1 : 0) }
      }
      return try nanosecondWait.attempt { () throws(Errno) in
        var limit = timespec(tv_sec: Int(timeout / 1_000_000_000), tv_nsec: Int(timeout % 1_000_000_000))
        return try systemCallOnce { unsafe casyncio_epoll_wait(epoll.rawValue, events, capacity, &limit) }
      } else: { () throws(Errno) in
        // Rounded up, since a timer must not fire early and a wait of zero would spin until it may.
        let milliseconds = min((timeout - 1) / 1_000_000 + 1, Int64(Int32.max))
        return try systemCallOnce { unsafe epoll_wait(epoll.rawValue, events, capacity, Int32(milliseconds)) }
      }
    }

    package func close() {
      _ = Glibc.close(epoll.rawValue)
      eventWaker.close()
    }
  }

  /// An event counter: adding to it makes the poller return.
  private struct EventWaker: Waker {
    let counter: FileDescriptor

    init() throws(Errno) {
      counter = FileDescriptor(rawValue: try systemCall { casyncio_counter() })
    }

    func wake() {
      // The only failure is a full counter, and then the poller has been told already.
      _ = casyncio_counter_add(counter.rawValue)
    }

    func close() {
      _ = Glibc.close(counter.rawValue)
    }
  }

  extension Interest {
    fileprivate var epollEvents: UInt32 {
      (contains(.read) ? EPOLLIN.rawValue : 0) | (contains(.write) ? EPOLLOUT.rawValue : 0)
    }

    fileprivate init(epollEvents: UInt32) {
      // As a rule it is this and nothing else.
      if epollEvents == EPOLLIN.rawValue {
        self = .read
        return
      }
      self = []
      if epollEvents & ~EPOLLOUT.rawValue != 0 { insert(.read) }
      if epollEvents & ~EPOLLIN.rawValue != 0 { insert(.write) }
      if epollEvents & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { insert(.hangUp) }
    }
  }
#endif
