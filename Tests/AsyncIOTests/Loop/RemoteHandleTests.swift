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

  private final class Numbers {
    var ran: [Int] = []
  }

  private func run(_ loop: EventLoop) throws {
    loop.stop()
    try loop.runForever()
  }

  @Test("a call's memory serves the next one, but not while a handle refers to it")
  func memory() throws {
    try withLoop { loop, _ in
      let numbers = LoopBound(Numbers())
      func send(_ number: Int) throws -> RemoteHandle {
        try loop.remote.callSoonThreadsafe { _ in numbers.value.ran.append(number) }
      }
      let first = try send(0)
      try run(loop)
      // What is over is handed back when the next message is taken. So two objects take turns, beside the first.
      weak var one: RemoteCallback?
      weak var other: RemoteCallback?
      for number in 1..<5 {
        do {
          let call = try send(number).call
          if number == 1 { one = call } else if number == 2 { other = call }
          #expect(call !== first.call)
        }
        try run(loop)
      }
      #expect(numbers.value.ran == [0, 1, 2, 3, 4])
      let second = try send(5)
      #expect(one != nil && other != nil && (second.call === one || second.call === other))
      #expect(second != first && second == second)
      #expect(!first.cancel() && !first.isCancelled && !second.isCancelled)
      try run(loop)
      #expect(numbers.value.ran.last == 5)
    }
  }

  @Test("a call that has the memory of one that was cancelled, or threw, runs")
  func reuseAfterCancel() throws {
    try withLoop { loop, _ in
      let errors = loop.collectErrors()
      let numbers = LoopBound(Numbers())
      for number in 0..<4 {
        try loop.remote.callSoonThreadsafe { _ in Issue.record("it was cancelled") }.cancel()
        try run(loop)
        try loop.remote.callSoonThreadsafe { _ in
          numbers.value.ran.append(number)
          throw TestError(number: number)
        }
        try run(loop)
      }
      #expect(numbers.value.ran == [0, 1, 2, 3])
      #expect(errors.contexts.compactMap { ($0.error as? TestError)?.number } == [0, 1, 2, 3])
    }
  }

  @Test("what is let go of with its call may send another")
  func reentrantRelease() throws {
    try withLoop { loop, _ in
      let remote = loop.remote
      let numbers = LoopBound(Numbers())
      func send() throws {
        let probe = ReleaseProbe { _ = try? remote.callSoonThreadsafe { _ in numbers.value.ran.append(2) } }
        try remote.callSoonThreadsafe { _ in
          probe.touch()
          numbers.value.ran.append(1)
        }
      }
      for _ in 0..<3 {
        try send()
        for _ in 0..<2 { try run(loop) }
      }
      #expect(numbers.value.ran == [1, 2, 1, 2, 1, 2])
    }
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
