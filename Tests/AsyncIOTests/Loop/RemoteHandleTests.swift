// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct RemoteHandleTests {
  @Test("a call from another thread can be cancelled from any, until it runs")
  func cancel() throws {
    try withLoop { loop, _ in
      var ran: [Int] = []
      let calls = LoopBound(Boxed<[Int]>([]))
      let remote = loop.remote
      let handles = try (0..<3).map { number in
        try remote.callSoonThreadsafe { _ in calls.value.value.append(number) }
      }
      let answers = Shared<[Bool]>([])
      TestThread { answers.withLock { $0 = [handles[1].cancel(), handles[1].cancel()] } }.join()
      #expect(answers.current == [true, false])
      #expect(handles[1].isCancelled && !handles[0].isCancelled)
      loop.stop()
      try loop.runForever()
      ran = calls.value.value
      #expect(ran == [0, 2])
      #expect(!handles[0].cancel(), "it ran")
      #expect(!handles[0].isCancelled)
    }
  }

  @Test("cancelling lets go of what the closure captured, at once")
  func release() throws {
    try withLoop { loop, _ in
      let released = Shared(false)
      let handle = try send(loop.remote, released)
      #expect(!released.current)
      #expect(handle.cancel())
      #expect(released.current)
    }
  }

  private func send(_ remote: RemoteLoop, _ released: Shared<Bool>) throws -> RemoteHandle {
    let probe = ReleaseProbe { released.withLock { $0 = true } }
    return try remote.callSoonThreadsafe { _ in probe.touch() }
  }

  @Test("a call whose loop was closed counts as neither run nor cancelled")
  func closed() throws {
    let released = Shared(false)
    let handle = try withLoop { loop, _ in try send(loop.remote, released) }
    #expect(!handle.isCancelled)
    #expect(released.current, "what it captured is let go of")
    #expect(!handle.cancel())
  }

  @Test("of a cancellation and a run that meet, one wins")
  func race() throws {
    try withLoop { loop, _ in
      let remote = loop.remote
      let ran = Shared<Set<Int>>([])
      let cancelled = Shared<Set<Int>>([])
      let thread = TestThread {
        for number in 0..<2_000 {
          guard let handle = try? remote.callSoonThreadsafe({ _ in ran.withLock { _ = $0.insert(number) } }) else {
            return
          }
          if handle.cancel() { cancelled.withLock { _ = $0.insert(number) } }
        }
        try? remote.stop()
      }
      try loop.runForever()
      thread.join()
      #expect(ran.current.isDisjoint(with: cancelled.current))
      #expect(ran.current.union(cancelled.current) == Set(0..<2_000))
    }
  }
}
