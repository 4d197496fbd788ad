// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import AsyncIO

/// What every poller has to do, run on each that this platform has.
@Suite struct PollerContractTests {
  static let makers: [Maker] = [
    Maker(name: "epoll") { try EpollPoller() },
    Maker(name: "epoll in milliseconds") { try EpollPoller(nanosecondWait: NewerCall(isRefused: true)) },
  ]

  struct Maker: Sendable, CustomTestStringConvertible {
    let name: String
    let make: @Sendable () throws -> any Poller
    var testDescription: String { name }
  }

  /// A poller and a pair of sockets, closed at the end.
  private func withPoller(_ maker: Maker, _ body: (any Poller, _ near: Socket, _ far: Socket) throws -> Void) throws {
    let poller = try maker.make()
    defer { poller.close() }
    let (near, far) = try Socket.pair()
    try body(poller, near, far)
  }

  private func poll(_ poller: any Poller, _ timeout: Int64? = 0) throws -> [Event] {
    var events: [PollEvent] = []
    try poller.wait(timeout: timeout, into: &events)
    return events.map { Event($0.descriptor, $0.generation, $0.ready) }
  }

  /// Waits, and expects the wait to end without an event.
  private func expectNothing(_ poller: any Poller, _ timeout: Int64) throws {
    let events = try poll(poller, timeout)
    #expect(events == [])
  }

  private struct Event: Equatable {
    var descriptor: Int32
    var generation: UInt32
    var ready: UInt8
    init(_ descriptor: Int32, _ generation: UInt32, _ ready: Interest) {
      self.descriptor = descriptor
      self.generation = generation
      self.ready = ready.rawValue
    }
  }

  private var now: Int64 { LinuxKernel.shared.monotonicNanoseconds() }

  @Test("reports what was asked for, as long as it holds", arguments: makers)
  func levelTriggered(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      let fd = near.descriptor
      try poller.add(fd, .read, generation: 5)
      #expect(try poll(poller) == [])
      try far.send([1, 2])
      for _ in 0..<3 { #expect(try poll(poller) == [Event(fd.rawValue, 5, .read)]) }
      _ = try near.receive(maxBytes: 1)
      #expect(try poll(poller) == [Event(fd.rawValue, 5, .read)])
      _ = try near.receive(maxBytes: 1)
      #expect(try poll(poller) == [])
    }
  }

  @Test("modify changes interest and generation, remove ends both", arguments: makers)
  func modifies(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      let fd = near.descriptor
      try far.send([1])
      try poller.add(fd, .write, generation: 1)
      #expect(try poll(poller) == [Event(fd.rawValue, 1, .write)])
      try poller.modify(fd, [.read, .write], generation: 2)
      #expect(try poll(poller) == [Event(fd.rawValue, 2, [.read, .write])])
      try poller.modify(fd, .read, generation: .max)
      #expect(try poll(poller) == [Event(fd.rawValue, .max, .read)])
      try poller.remove(fd)
      #expect(try poll(poller) == [])
      try poller.add(fd, .read, generation: 3)
      #expect(try poll(poller) == [Event(fd.rawValue, 3, .read)])
    }
  }

  @Test("events are added to those that are there", arguments: makers)
  func appends(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      try poller.add(near.descriptor, .write, generation: 1)
      var events = [PollEvent(descriptor: 99, generation: 9, ready: .read)]
      try poller.wait(timeout: 0, into: &events)
      #expect(events.map(\.descriptor) == [99, near.descriptor.rawValue])
    }
  }

  @Test("misuse throws the platform's error", arguments: makers)
  func errors(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      try poller.add(near.descriptor, .read, generation: 1)
      #expect(throws: Errno.fileExists) { try poller.add(near.descriptor, .read, generation: 2) }
      #expect(throws: Errno.noSuchFileOrDirectory) { try poller.modify(far.descriptor, .read, generation: 1) }
      #expect(throws: Errno.noSuchFileOrDirectory) { try poller.remove(far.descriptor) }
      #expect(throws: Errno.badFileDescriptor) {
        try poller.add(FileDescriptor(rawValue: -1), .read, generation: 1)
      }
    }
  }

  @Test("the peer's end, and an error, count as ready for what was asked", arguments: makers)
  func hangUp(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      let fd = near.descriptor.rawValue
      try poller.add(near.descriptor, .read, generation: 1)
      far.close()
      #expect(try poll(poller) == [Event(fd, 1, [.read, .write, .hangUp])])
      try poller.modify(near.descriptor, [.read, .write], generation: 1)
      #expect(try poll(poller) == [Event(fd, 1, [.read, .write, .hangUp])])
    }
  }

  @Test("of who asks for the peer's end alone, data and room are kept away", arguments: makers)
  func hangUpAlone(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      try poller.add(near.descriptor, .hangUp, generation: 1)
      try far.send([1])
      #expect(try poll(poller) == [])
      far.close()
      #expect(try poll(poller).first?.ready == 7)
    }
  }

  @Test("a wait takes its time, to the nanosecond", arguments: makers)
  func neverEarly(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      for timeout in [1, 100, 999, 1_000, 50_000, 1_000_001, 1_999_999, 20_000_000] as [Int64] {
        let start = now
        try expectNothing(poller, timeout)
        #expect(now - start >= timeout)
      }
    }
  }

  @Test("an event ends a wait of any length", arguments: makers, [nil, 60_000_000_000, Int64.max])
  func eventEndsWait(_ maker: Maker, timeout: Int64?) throws {
    try withPoller(maker) { poller, near, far in
      try poller.add(near.descriptor, .read, generation: 1)
      let descriptor = far.descriptor
      let sender = TestThread { _ = try? descriptor.writeAll([1]) }
      #expect(try poll(poller, timeout) == [Event(near.descriptor.rawValue, 1, .read)])
      sender.join()
    }
  }

  @Test("a wake from another thread ends one wait, and is no event", arguments: makers)
  func wakes(_ maker: Maker) throws {
    try withPoller(maker) { poller, near, far in
      let waker = poller.waker
      for _ in 0..<50 {
        let other = TestThread { waker.wake() }
        try expectNothing(poller, 60_000_000_000)
        other.join()
      }
      // Many wakes before a wait end that wait, and nothing is left of them.
      for _ in 0..<1000 { waker.wake() }
      try expectNothing(poller, 60_000_000_000)
      let start = now
      try expectNothing(poller, 2_000_000)
      #expect(now - start >= 2_000_000)
    }
  }

  @Test("a signal ends a wait early, without an error", arguments: makers)
  func interruption(_ maker: Maker) throws {
    // Nothing else in this process uses the signal; a handler that does nothing only interrupts.
    signal(SIGURG) { _ in }
    let waiting = OneShot<pthread_t>()
    let outcome = OneShot<Result<Int, any Error>>()
    let thread = TestThread {
      // Threads that descend from libdispatch's have every signal blocked.
      var mask = sigset_t()
      sigemptyset(&mask)
      sigaddset(&mask, SIGURG)
      pthread_sigmask(SIG_UNBLOCK, &mask, nil)
      outcome.set(
        Result {
          let poller = try maker.make()
          defer { poller.close() }
          var events: [PollEvent] = []
          waiting.set(pthread_self())
          try poller.wait(timeout: nil, into: &events)
          return events.count
        })
    }
    let target = waiting.wait()
    // The first may come before the wait has begun.
    while outcome.current == nil {
      pthread_kill(target, SIGURG)
      usleep(200)
    }
    thread.join()
    #expect(try outcome.wait().get() == 0)
  }

  @Test("more descriptors than one wait reports are all reported in the end", arguments: makers)
  func manyDescriptors(_ maker: Maker) throws {
    let poller = try maker.make()
    defer { poller.close() }
    var sockets: [Socket] = []
    for _ in 0..<300 {
      let pair = try Socket.pair()
      sockets += [pair.0, pair.1]
    }
    for socket in sockets { try poller.add(socket.descriptor, .write, generation: 1) }
    var seen: Set<Int32> = []
    for _ in 0..<10 where seen.count < sockets.count {
      var batch: [PollEvent] = []
      try poller.wait(timeout: 0, into: &batch)
      #expect(!batch.isEmpty)
      for event in batch { seen.insert(event.descriptor) }
    }
    #expect(seen.count == sockets.count)
  }
}
