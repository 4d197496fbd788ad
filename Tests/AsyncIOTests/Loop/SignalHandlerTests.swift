// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SignalHandlerTests {
  @Test("a handler runs on the loop, outside of the signal's context, once for each signal")
  func oncePerSignal() throws {
    let signal = Signal.test(0)
    try withLoop { loop, kernel in
      var calls = 0
      try loop.addSignalHandler(signal) {
        calls += 1
        #expect(EventLoop.running === loop)
        // In the signal's context its own kind would be held back.
        var held = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &held)
        #expect(sigismember(&held, signal.rawValue) == 0)
        if calls == 3 { loop.stop() }
      }
      loop.callSoon { for _ in 0..<3 { signal.sendToProcess() } }
      try Signal.admitted([signal]) { try loop.runForever() }
      #expect(calls == 3)
    }
  }

  @Test("a signal wakes a loop that is blocked in a poll, whatever thread it interrupts")
  func wakesPoll() async throws {
    let signal = Signal.test(1)
    let arrivals = Shared(0)
    let thread = LoopThread { loop in
      _ = try? loop.addSignalHandler(signal) { arrivals.withLock { $0 += 1 } }
    }
    for round in 1...20 {
      // The loop has nothing to wait for but signals: it blocks for ever.
      while thread.kernel.pollTimeouts.last != .some(nil) { await Task.yield() }
      // This thread's, or whatever thread the kernel picks, the loop's perhaps.
      if round % 2 == 0 { signal.sendToThread() } else { signal.sendToProcess() }
      while arrivals.current < round { await Task.yield() }
    }
    await thread.end()
    #expect(arrivals.current == 20)
    #expect(thread.kernel.openDescriptors == [])
  }

  @Test("signals of several kinds arrive in the order in which the kernel delivers them")
  func order() throws {
    let signals = [2, 3, 4].map(Signal.test)
    try withLoop { loop, kernel in
      var order: [Signal] = []
      for signal in signals {
        try loop.addSignalHandler(signal) {
          order.append(signal)
          if order.count == 5 { loop.stop() }
        }
      }
      // Those that are pending together are delivered lowest first, and real-time ones are queued.
      Signal.sendTogether([2, 0, 1, 0, 2].map { signals[$0] })
      try loop.runForever()
      #expect(order == [0, 0, 1, 2, 2].map { signals[$0] })
      // And otherwise in the order of sending.
      order = []
      for index in [2, 0, 1, 2, 0] { signals[index].sendToThread() }
      try loop.runForever()
      #expect(order == [2, 0, 1, 2, 0].map { signals[$0] })
    }
  }

  @Test("of a signal that is no real-time one, those sent before the first is delivered are one")
  func coalescing() throws {
    try withLoop { loop, kernel in
      var calls = 0
      try loop.addSignalHandler(.windowChanged) { calls += 1 }
      Signal.sendTogether(Array(repeating: .windowChanged, count: 5))
      loop.stop()
      try loop.runForever()
      #expect(calls == 1)
    }
  }

  @Test("signals that come while the loop does not run wait for its next run")
  func betweenRuns() throws {
    let signal = Signal.test(5)
    try withLoop { loop, kernel in
      var calls = 0
      try loop.addSignalHandler(signal) { calls += 1 }
      for round in 1...3 {
        signal.sendToThread()
        signal.sendToThread()
        #expect(calls == 2 * (round - 1))
        loop.stop()
        try loop.runForever()
        #expect(calls == 2 * round)
      }
    }
  }

  @Test("a signal that was handled does not wake the loop again")
  func staysAsleep() throws {
    let signal = Signal.test(30)
    try withLoop { loop, kernel in
      var polls = 0
      try loop.addSignalHandler(signal) {
        polls = kernel.count(of: .wait)
        loop.callLater(.milliseconds(20)) { loop.stop() }
      }
      signal.sendToThread()
      try loop.runForever()
      #expect(kernel.count(of: .wait) - polls < 5)
    }
  }

  @Test(
    "numbers that are no signal's are rejected by both calls",
    arguments: [Int32.min, -1, 0, 32, 33, 65, 128, .max])
  func invalidNumbers(number: Int32) throws {
    let signal = Signal(rawValue: number)
    try withLoop { loop, kernel in
      let before = kernel.openDescriptors
      #expect(throws: EventLoopError(.invalidSignal, "")) { try loop.addSignalHandler(signal) {} }
      #expect(throws: EventLoopError(.invalidSignal, "")) { try loop.removeSignalHandler(signal) }
      #expect(kernel.openDescriptors == before)
    }
  }

  @Test("KILL and STOP can't be handled, and so have no handler to remove", arguments: [Signal.kill, .stop])
  func uncatchable(signal: Signal) throws {
    try withLoop { loop, kernel in
      let before = kernel.openDescriptors
      let error = #expect(throws: EventLoopError.self) { try loop.addSignalHandler(signal) {} }
      #expect(error?.code == .invalidSignal)
      #expect(error?.description == "addSignalHandler: \(signal) can't be handled")
      let wasRemoved = try loop.removeSignalHandler(signal)
      #expect(!wasRemoved)
      #expect(kernel.openDescriptors == before)
    }
  }

  @Test(
    "signals that a thread can't go on from are refused",
    arguments: [Signal.segmentationFault, .busError, .arithmeticError, .illegalInstruction, .trap])
  func faults(signal: Signal) throws {
    let before = signal.disposition
    try withLoop { loop, kernel in
      #expect(throws: EventLoopError(.invalidSignal, "")) { try loop.addSignalHandler(signal) {} }
      let wasRemoved = try loop.removeSignalHandler(signal)
      #expect(!wasRemoved)
      #expect(signal.disposition == before)
    }
  }

  @Test("a second handler for a signal replaces the first, also for what was delivered and has not run yet")
  func replacement() throws {
    let signal = Signal.test(6)
    try withLoop { loop, kernel in
      var calls: [String] = []
      let released = Boxed(0)
      let first = try loop.addSignalHandler(signal) { [p = ReleaseProbe { released.value += 1 }] in
        p.touch()
        calls.append("first")
      }
      signal.sendToThread()
      let second = try loop.addSignalHandler(signal) { calls.append("second") }
      #expect(first.isCancelled && released.value == 1)
      loop.stop()
      try loop.runForever()
      #expect(calls == ["second"])

      // Both are in the ready queue when the first of them replaces the handler.
      try loop.addSignalHandler(signal) {
        calls.append("third")
        try loop.addSignalHandler(signal) { calls.append("fourth") }
      }
      #expect(second.isCancelled)
      signal.sendToThread()
      signal.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(calls == ["second", "third", "fourth"])
      #expect(try loop.removeSignalHandler(signal))
      #expect(try !loop.removeSignalHandler(signal))
    }
  }

  @Test("an install that fails leaves nothing, and other handlers as they are")
  func failedInstall() throws {
    let (bystander, signal) = (Signal.test(7), Signal.test(8))
    let before = signal.disposition
    try withLoop { loop, kernel in
      let descriptors = kernel.openDescriptors
      // Nothing is there yet: each step of the first install fails in its turn.
      for (call, code) in [(TestKernel.Call.makeCounter, Errno.tooManyOpenFiles), (.add, .noSpace)] {
        kernel.inject(code, into: call)
        #expect(throws: IOError(code, "addSignalHandler", signal.description)) { try loop.addSignalHandler(signal) {} }
        #expect(kernel.openDescriptors == descriptors)
      }
      kernel.inject(.invalidArgument, into: .setSignalDisposition)
      #expect(throws: IOError.self) { try loop.addSignalHandler(signal) {} }
      #expect(kernel.openDescriptors == descriptors)
      #expect(signal.disposition == before)
      #expect(try !loop.removeSignalHandler(signal))

      // Nor does it disturb a handler that is there.
      var calls: [String] = []
      try loop.addSignalHandler(bystander) { calls.append("bystander") }
      kernel.inject(.invalidArgument, into: .setSignalDisposition)
      #expect(throws: IOError.self) { try loop.addSignalHandler(signal) { calls.append("never") } }
      #expect(signal.disposition == before)
      // It is ignored still.
      signal.sendToThread()
      bystander.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(calls == ["bystander"])

      // And the next attempt works.
      try loop.addSignalHandler(signal) { calls.append("signal") }
      signal.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(calls == ["bystander", "signal"])
    }
    #expect(signal.disposition == before)
  }

  @Test("a signal whose handler was cancelled is ignored, and the handler removed")
  func cancelledHandler() throws {
    let signal = Signal.test(9)
    let before = signal.disposition
    try withLoop { loop, kernel in
      let descriptors = kernel.openDescriptors
      var calls = 0
      let handle = try loop.addSignalHandler(signal) { calls += 1 }
      #expect(signal.disposition != before)
      handle.cancel()
      signal.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(calls == 0)
      #expect(signal.disposition == before)
      #expect(kernel.openDescriptors == descriptors)
      #expect(try !loop.removeSignalHandler(signal))

      // Cancelled and set again, it is as new.
      try loop.addSignalHandler(signal) { calls += 10 }.cancel()
      try loop.addSignalHandler(signal) { calls += 1 }
      signal.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(calls == 1)
    }
  }

  @Test("a handler that is removed between delivery and callback does not run")
  func removedMeanwhile() throws {
    let (first, second) = (Signal.test(10), Signal.test(11))
    try withLoop { loop, kernel in
      var calls: [String] = []
      // Removed before the loop has seen the signal, by itself and beside another.
      try loop.addSignalHandler(first) { calls.append("first") }
      first.sendToThread()
      #expect(try loop.removeSignalHandler(first))
      loop.stop()
      try loop.runForever()
      try loop.addSignalHandler(second) { calls.append("second") }
      try loop.addSignalHandler(first) { calls.append("first") }
      first.sendToThread()
      second.sendToThread()
      try loop.removeSignalHandler(first)
      loop.stop()
      try loop.runForever()
      #expect(calls == ["second"])

      // Removed by a callback that is in the same batch.
      try loop.addSignalHandler(first) { calls.append("first") }
      try loop.addSignalHandler(second) {
        calls.append("remover")
        try loop.removeSignalHandler(first)
      }
      second.sendToThread()
      first.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(calls == ["second", "remover"])
    }
  }

  @Test("a handler that is cancelled when its callback is queued already does not run")
  func cancelledMeanwhile() throws {
    let signal = Signal.test(12)
    try withLoop { loop, kernel in
      var calls = 0
      var handle: Handle?
      handle = try loop.addSignalHandler(signal) {
        calls += 1
        handle?.cancel()
      }
      for _ in 0..<3 { signal.sendToThread() }
      loop.stop()
      try loop.runForever()
      #expect(calls == 1)
    }
  }

  @Test("an error that a handler throws goes to the exception handler, and the next signal to the handler again")
  func throwingHandler() throws {
    let signal = Signal.test(13)
    try withLoop { loop, kernel in
      let errors = loop.collectErrors()
      let handle = try loop.addSignalHandler(signal) { throw TestError(number: 67) }
      signal.sendToThread()
      signal.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(errors.contexts.map { $0.error as? TestError } == [TestError(number: 67), TestError(number: 67)])
      #expect(errors.contexts.allSatisfy { $0.handle == handle })
    }
  }

  @Test("in debug mode a handler knows where it was set, and a slow one is logged with it")
  func debugMode() throws {
    let signal = Signal.test(14)
    try withLoop { loop, kernel in
      loop.debug = true
      let line: UInt = #line + 1
      let handle = try loop.addSignalHandler(signal) { kernel.advanceClock(by: .milliseconds(150)) }
      let site = "AsyncIOTests/SignalHandlerTests.swift:\(line)"
      #expect(handle.callSite?.description == site)
      signal.sendToThread()
      loop.stop()
      try loop.runForever()
      #expect(CapturedLog.matching("slow: callback scheduled at \(site)").count == 1)
    }
  }

  @Test("a handler may remove itself, set others, stop the loop, and come back")
  func reentrancy() throws {
    let (first, second) = (Signal.test(15), Signal.test(16))
    let before = first.disposition
    try withLoop { loop, kernel in
      var calls: [String] = []
      try loop.addSignalHandler(first) {
        calls.append("first")
        #expect(try loop.removeSignalHandler(first))
        #expect(first.disposition == before)
        try loop.addSignalHandler(second) {
          calls.append("second")
          try loop.addSignalHandler(first) {
            calls.append("again")
            loop.stop()
          }
          first.sendToThread()
        }
        second.sendToThread()
      }
      first.sendToThread()
      try loop.runForever()
      #expect(calls == ["first", "second", "again"])
    }
  }

  @Test("what went with a handler may remove the last one, in the midst of a storm's delivery")
  func releaseRemovesOthers() throws {
    let (first, second) = (Signal.test(17), Signal.test(18))
    try withLoop { loop, kernel in
      let descriptors = kernel.openDescriptors
      try loop.addSignalHandler(second) {}
      let handle = try loop.addSignalHandler(first) {
        [p = ReleaseProbe { _ = try? loop.removeSignalHandler(second) }] in p.touch()
      }
      for _ in 0..<5 * SignalQueue.capacity { first.sendToThread() }
      // Its release removes the other one; the next delivery removes this one, and with it the counter.
      handle.cancel()
      loop.stop()
      try loop.runForever()
      #expect(kernel.openDescriptors == descriptors)
    }
  }

  @Test("signal handlers may be set from the loop's own thread only, and on an open loop")
  func misuse() async {
    await #expect(processExitsWith: .failure) {
      let loop = try EventLoop()
      loop.close()
      try loop.addSignalHandler(.user1) {}
    }
  }
}
