// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite struct CallSoonTests {
  @Test("callbacks run first in, first out, each once")
  func order() throws {
    try withLoop { loop, kernel in
      var order: [Int] = []
      for number in 0..<1000 { loop.callSoon { order.append(number) } }
      loop.callSoon { loop.stop() }
      try loop.runForever()
      loop.stop()
      try loop.runForever()
      #expect(order == Array(0..<1000))
    }
  }

  @Test("A callback that ran lets go of what it captured, also while its handle is held", arguments: [false, true])
  func releases(isTimer: Bool) throws {
    try withLoop { loop, kernel in
      var released = 0
      let handle: Handle
      do {
        let probe = ReleaseProbe { released += 1 }
        let work = { probe.touch() }
        handle = isTimer ? Handle(loop.callLater(.zero, work)) : loop.callSoon(work)
      }
      #expect(released == 0)
      loop.stop()
      try loop.runForever()
      #expect(released == 1 && !handle.isCancelled)
    }
  }

  @Test("callSoon, thread-safe calls and tasks share one order")
  func oneOrder() throws {
    try withLoop { loop, kernel in
      let order = Shared<[Int]>([])
      func note(_ number: Int) { order.withLock { $0.append(number) } }
      try loop.remote.callSoonThreadsafe { _ in order.withLock { $0.append(0) } }
      loop.callSoon { note(1) }
      try loop.remote.callSoonThreadsafe { _ in order.withLock { $0.append(2) } }
      loop.createTask { note(3) }
      loop.callSoon { note(4) }
      try loop.remote.callSoonThreadsafe { _ in order.withLock { $0.append(5) } }
      loop.createTask { note(6) }
      try loop.remote.stop()
      try loop.runForever()
      #expect(order.current == Array(0...6))
    }
  }

  @Test("the same from within the loop")
  func oneOrderInside() throws {
    try withLoop { loop, kernel in
      let order = Shared<[Int]>([])
      loop.callSoon {
        try loop.remote.callSoonThreadsafe { _ in order.withLock { $0.append(0) } }
        loop.callSoon { order.withLock { $0.append(1) } }
        loop.createTask { order.withLock { $0.append(2) } }
        try loop.remote.callSoonThreadsafe { _ in order.withLock { $0.append(3) } }
        loop.callSoon {
          order.withLock { $0.append(4) }; loop.stop()
        }
      }
      try loop.runForever()
      #expect(order.current == Array(0...4))
    }
  }

  @Test("what a callback adds runs in the next iteration, after another poll")
  func nextIteration() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      var order: [String] = []
      try loop.addReader(near.descriptor) {
        _ = try near.receive(maxBytes: 1)
        order.append("reader")
      }
      loop.callSoon {
        order.append("first")
        try far.send([1])
        loop.callSoon {
          order.append("added")
          loop.callSoon {
            order.append("added by added"); loop.stop()
          }
        }
      }
      loop.callSoon { order.append("second") }
      try loop.runForever()
      #expect(order == ["first", "second", "added", "reader", "added by added"])
      #expect(kernel.pollTimeouts == [0, 0, 0])
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a cancelled callback does not run, also when one of its own batch cancels it")
  func cancelInBatch() throws {
    try withLoop { loop, kernel in
      var ran: [Int] = []
      var second: Handle?
      loop.callSoon {
        ran.append(1); second?.cancel()
      }
      second = loop.callSoon { ran.append(2) }
      let third = loop.callSoon { ran.append(3) }
      third.cancel()
      loop.callSoon {
        ran.append(4); loop.stop()
      }
      try loop.runForever()
      #expect(ran == [1, 4])
    }
  }

  @Test("cancel() is idempotent, tells, and lets go of the callback at once")
  func cancel() throws {
    try withLoop { loop, kernel in
      let released = Boxed(0)
      func probe() -> ReleaseProbe { ReleaseProbe { released.value += 1 } }
      let handle = loop.callSoon { [p = probe()] in p.touch() }
      let timer = loop.callLater(.seconds(3600)) { [p = probe()] in p.touch() }
      #expect(!handle.isCancelled && !timer.isCancelled && released.value == 0)
      handle.cancel()
      timer.cancel()
      #expect(handle.isCancelled && timer.isCancelled && released.value == 2)
      handle.cancel()
      timer.cancel()
      #expect(handle.isCancelled && timer.isCancelled)
      loop.stop()
      try loop.runForever()
    }
  }

  @Test("a callback that ran is let go of, and may be cancelled to no effect")
  func cancelAfterRun() throws {
    try withLoop { loop, kernel in
      let released = Boxed(0)
      let handle = loop.callSoon { [p = ReleaseProbe { released.value += 1 }] in p.touch() }
      let timer = loop.callLater(.zero) { [p = ReleaseProbe { released.value += 1 }] in p.touch() }
      loop.stop()
      try loop.runForever()
      #expect(released.value == 2)
      handle.cancel()
      timer.cancel()
      #expect(handle.isCancelled && timer.isCancelled)
    }
  }

  @Test("a handle that is kept stands for its own callback, whatever was scheduled since")
  func keptHandles() throws {
    try withLoop { loop, kernel in
      var ran = 0
      let over = loop.callSoon {}
      let timer = loop.callLater(.zero) {}
      for _ in 0..<10 { loop.callSoon {} }
      loop.stop()
      try loop.runForever()
      let next = (0..<20).map { _ in loop.callSoon { ran += 1 } }
      let later = (0..<20).map { _ in loop.callLater(.zero) { ran += 1 } }
      over.cancel()
      timer.cancel()
      #expect(over.isCancelled && timer.isCancelled)
      #expect(!next.contains(over) && !later.contains(timer) && !next.contains(Handle(timer)))
      #expect(Set(next).count == 20 && Set(later).count == 20)
      loop.stop()
      try loop.runForever()
      #expect(ran == 40)
      #expect(!next.contains { $0.isCancelled } && !later.contains { $0.isCancelled })
    }
  }

  @Test("the memory of a call that is over serves the next one, unless a handle refers to it, or its loop was closed")
  func reuse() {
    let core = LoopCore.unused
    weak var over: ScheduledCall?
    do {
      let call = core.makeCall {}
      over = call
      call.cancel()
      core.recycle(consume call)
    }
    let next = core.makeCall {}
    #expect(next === over && !next.wasCancelled)
    let kept = Handle(next)
    core.recycle(consume next)
    let another = core.makeCall {}
    #expect(kept.call !== another)
    _ = core.close()
    over = another
    core.recycle(consume another)
    #expect(over == nil)
  }

  @Test("the memory of a flood of calls is given back")
  func flood() {
    let core = LoopCore.unused
    let calls = Boxed((0..<LoopCore.spareLimit + 10).map { _ in core.makeCall {} })
    let all = calls.value.map { WeakCall(call: $0) }
    while let call = calls.value.popLast() { core.recycle(call) }
    #expect(all.count { $0.call != nil } == LoopCore.spareLimit)
    _ = core.close()
    #expect(!all.contains { $0.call != nil })
  }

  private struct WeakCall { weak var call: ScheduledCall? }

  @Test("letting go of a cancelled callback may cancel it again, and schedule")
  func reentrantCancel() throws {
    try withLoop { loop, kernel in
      let box = Boxed<[Handle]>([])
      var ran = false
      func probe() -> ReleaseProbe {
        ReleaseProbe {
          for handle in box.value { handle.cancel() }
          loop.callSoon { ran = true }
        }
      }
      box.value.append(loop.callSoon { [p = probe()] in p.touch() })
      box.value.append(Handle(loop.callLater(.seconds(100)) { [p = probe()] in p.touch() }))
      box.value[0].cancel()
      loop.stop()
      try loop.runForever()
      #expect(ran)
      #expect(box.value[0].isCancelled && box.value[1].isCancelled)
      box.value = []
    }
  }

  @Test("a callback's error is reported, and the batch goes on")
  func error() throws {
    try withLoop { loop, kernel in
      let errors = loop.collectErrors()
      var ran = false
      let failing = loop.callSoon { throw TestError(number: 31) }
      loop.callSoon { ran = true }
      loop.callLater(.zero) { throw TestError(number: 32) }
      try loop.remote.callSoonThreadsafe { _ in throw TestError(number: 33) }
      loop.stop()
      try loop.runForever()
      #expect(ran)
      #expect(Set(errors.contexts.compactMap { ($0.error as? TestError)?.number }) == [31, 32, 33])
      #expect(errors.contexts.first?.handle == failing)
    }
  }
}
