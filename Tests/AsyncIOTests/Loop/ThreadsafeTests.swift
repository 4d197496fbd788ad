// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct ThreadsafeTests {
  @Test("a call from another thread wakes a loop that is blocked for ever, and runs on its thread")
  func wakes() async throws {
    let running = LoopThread()
    // Only a loop in a blocking poll has to be woken.
    while running.kernel.pollTimeouts.last != .some(nil) { await Task.yield() }
    let ranOn = OneShot<ThreadIdentity>()
    try running.remote.callSoonThreadsafe { _ in ranOn.set(.current) }
    #expect(ranOn.wait() != .current)
    await running.end()
    #expect(running.kernel.openDescriptors == [])
  }

  @Test("The memory of messages is used again, that of a flood of them is not kept")
  func memoryOfMessages() throws {
    try withLoop { loop, kernel in
      for count in [10, 10, 5000, 10] {
        for _ in 0..<count { try loop.remote.callSoonThreadsafe { _ in } }
        loop.stop()
        try loop.runForever()
        #expect(loop.core.spareMessages.value.count == 0)
        #expect((loop.core.spareMessages.value.capacity > 0) == (count == 10))
        #expect(loop.core.spareMessages.value.capacity < 5000)
      }
    }
  }

  @Test("it works on the loop's own thread, and hands the loop over")
  func ownThread() throws {
    try withLoop { loop, kernel in
      let remote = loop.remote
      var ran = false
      loop.callSoon {
        #expect(remote.isOnLoopThread)
        try remote.callSoonThreadsafe { inner in
          #expect(inner === EventLoop.running)
          inner.stop()
        }
        ran = true
      }
      try loop.runForever()
      #expect(ran && !remote.isOnLoopThread)
    }
  }

  @Test("stop() from another thread ends the run behind what was sent before")
  func remoteStop() async throws {
    let order = Shared<[Int]>([])
    let running = LoopThread()
    for number in 0..<100 { try running.remote.callSoonThreadsafe { _ in order.withLock { $0.append(number) } } }
    await running.end()
    #expect(order.current == Array(0..<100))
    #expect(throws: EventLoopError.closed) { try running.remote.callSoonThreadsafe { _ in } }
  }

  @Test("calls to a loop that does not run yet wait for its run, in order")
  func beforeRun() throws {
    try withLoop { loop, kernel in
      let order = Shared<[Int]>([])
      let remote = loop.remote
      TestThread {
        for number in 0..<10 { _ = try? remote.callSoonThreadsafe { _ in order.withLock { $0.append(number) } } }
        try? remote.stop()
        _ = try? remote.callSoonThreadsafe { _ in order.withLock { $0.append(99) } }
      }.join()
      try loop.runForever()
      #expect(order.current == Array(0..<10))
      loop.stop()
      try loop.runForever()
      #expect(order.current.last == 99)
    }
  }

  @Test("calls that race with close() run or throw, and none is kept")
  func closeRace() throws {
    for _ in 0..<50 {
      let released = Shared(0)
      let counts = Shared((sent: 0, refused: 0))
      let running = LoopThread()
      let remote = running.remote
      let sender = TestThread {
        for _ in 0..<200 {
          let probe = SendableProbe(released)
          do {
            try remote.callSoonThreadsafe { _ in withExtendedLifetime(probe) {} }
            counts.withLock { $0.sent += 1 }
          } catch {
            counts.withLock { $0.refused += 1 }
          }
        }
      }
      running.join()
      sender.join()
      #expect(counts.withLock { $0.sent + $0.refused } == 200)
      #expect(released.current == 200)
      #expect(running.kernel.openDescriptors == [])
    }
  }

  @Test("a waker that is full already is no error")
  func wakerIsFull() throws {
    let poller = try EpollPoller()
    defer { poller.close() }
    for _ in 0..<100_000 { poller.waker.wake() }
    var events: [PollEvent] = []
    try poller.wait(timeout: 60_000_000_000, into: &events)
    #expect(events.isEmpty)
  }

  @Test("several loops run on several threads at once, and call each other")
  func severalLoops() async throws {
    let loops = (0..<4).map { _ in LoopThread() }
    let done = OneShot<[UInt]>()
    @Sendable func hop(_ index: Int, _ seen: [UInt]) {
      guard index < 40 else { return done.set(seen) }
      _ = try? loops[index % 4].remote.callSoonThreadsafe { _ in hop(index + 1, seen + [ThreadIdentity.current.number])
      }
    }
    hop(0, [])
    let seen = done.wait()
    #expect(seen.count == 40)
    #expect(Set(seen).count == 4)
    for index in 0..<36 { #expect(seen[index] == seen[index + 4]) }
    for loop in loops { await loop.end() }
  }
}

private final class SendableProbe: Sendable {
  private let count: Shared<Int>
  init(_ count: Shared<Int>) { self.count = count }
  deinit { count.withLock { $0 += 1 } }
}
