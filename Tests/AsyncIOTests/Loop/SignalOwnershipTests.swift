// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// Signals are the process's, loops come and go: who has a signal, and what is left behind.
@Suite struct SignalOwnershipTests {
  @Test("close() removes all handlers and puts back what was there: ignored, default, or a handler with all it had")
  func closeRestores() throws {
    let (ignored, own) = (Signal.test(19), Signal.test(20))
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in }
    action.sa_flags = SA_NODEFER | SA_RESTART
    sigaddset(&action.sa_mask, SIGUSR2)
    sigaddset(&action.sa_mask, SIGWINCH)
    sigaction(own.rawValue, &action, nil)
    let signals = [ignored, own, .urgentData]
    let before = signals.map(\.disposition)
    #expect(before[0].handler == Signal.Disposition.ignored)
    #expect(before[1].held == [SIGUSR2, SIGWINCH])
    for removes in [true, false] {
      let released = Boxed(0)
      try withLoop { loop, kernel in
        for signal in signals {
          try loop.addSignalHandler(signal) { [p = ReleaseProbe { released.value += 1 }] in p.touch() }
        }
        for (signal, former) in zip(signals, before) { #expect(signal.disposition != former) }
        if removes { for signal in signals { #expect(try loop.removeSignalHandler(signal)) } }
      }
      #expect(signals.map(\.disposition) == before)
      #expect(released.value == 3)
    }
    // Also of a loop that was dropped unclosed.
    do {
      let loop = try EventLoop()
      for signal in signals { try loop.addSignalHandler(signal) {} }
    }
    #expect(signals.map(\.disposition) == before)
  }

  @Test("a handler that the program set by itself meanwhile stays")
  func programsOwnMeanwhile() throws {
    let signal = Signal.test(21)
    try withLoop { loop, kernel in
      try loop.addSignalHandler(signal) {}
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in }
      sigaction(signal.rawValue, &action, nil)
      let own = signal.disposition
      #expect(try loop.removeSignalHandler(signal))
      #expect(signal.disposition == own)
      // A handler that is set later is on top of it, and gives it back.
      try loop.addSignalHandler(signal) {}
      #expect(signal.disposition != own)
      try loop.removeSignalHandler(signal)
      #expect(signal.disposition == own)
    }
  }

  @Test("signals that were delivered to a loop that is closed are dropped, and later ones are nobody's")
  func closeWithPending() throws {
    let signal = Signal.test(22)
    var calls = 0
    try withLoop { loop, kernel in
      try loop.addSignalHandler(signal) { calls += 1 }
      loop.callSoon {
        // One is in the ready queue by the time that the loop stops, the others have not even been looked at.
        signal.sendToThread()
        loop.callSoon { loop.stop() }
      }
      try loop.runForever()
      for _ in 0..<10 { signal.sendToThread() }
    }
    let atClose = calls
    for _ in 0..<10 { signal.sendToThread() }
    #expect(calls == atClose && calls <= 1)
  }

  @Test("two loops handle different signals; the same one is refused to the second, with a clear error")
  func twoLoops() throws {
    let (mine, theirs) = (Signal.test(23), Signal.test(24))
    let arrivals = Shared<[String]>([])
    let other = LoopThread { loop in
      _ = try? loop.addSignalHandler(theirs) {
        arrivals.withLock { $0.append("other: \(EventLoop.running === loop)") }
      }
    }
    try withLoop { loop, kernel in
      let descriptors = kernel.openDescriptors
      let error = #expect(throws: EventLoopError.self) { try loop.addSignalHandler(theirs) {} }
      #expect(error?.code == .signalInUse)
      #expect(error?.description == "addSignalHandler: another loop of the process handles \(theirs)")
      #expect(kernel.openDescriptors == descriptors)
      #expect(try !loop.removeSignalHandler(theirs))

      try loop.addSignalHandler(mine) {
        arrivals.withLock { $0.append("this: \(EventLoop.running === loop)") }
        loop.stop()
      }
      // All on this thread: where a signal is delivered does not matter.
      theirs.sendToThread()
      mine.sendToThread()
      try loop.runForever()
      while arrivals.current.count < 2 { sched_yield() }
      #expect(Set(arrivals.current) == ["this: true", "other: true"])

      // Once the other has let go of it, it is free.
      other.join()
      var calls = 0
      try loop.addSignalHandler(theirs) {
        calls += 1
        loop.stop()
      }
      theirs.sendToThread()
      try loop.runForever()
      #expect(calls == 1)
    }
  }

  @Test("a release waits for a signal handler that is held up on another thread, and knows the queue")
  func heldUpHandler() throws {
    let signal = Signal.test(25)
    let before = signal.disposition
    let kernel = LinuxKernel.shared
    let counter = try kernel.makeCounter()
    defer { try? counter.close() }
    let queue = SignalQueue(counter: counter)
    #expect(try SignalTable.claim(signal, for: queue, kernel))
    let handler = SignalTable.enter(signal.rawValue)
    let isReleased = Shared(false)
    let releaser = TestThread {
      SignalTable.release(signal, by: queue, kernel)
      isReleased.withLock { $0 = true }
    }
    // It has come so far, and no further.
    while signal.disposition != before { sched_yield() }
    for _ in 0..<2000 { sched_yield() }
    #expect(!isReleased.current)
    handler.leave()
    releaser.join()
    #expect(isReleased.current)
  }

  @Test("loops come and go while signals rain on other threads")
  func comingAndGoing() throws {
    let signal = Signal.ioPossible
    Glibc.signal(signal.rawValue, SIG_IGN)
    defer { Glibc.signal(signal.rawValue, SIG_DFL) }
    let isOver = Shared(false)
    let sender = TestThread { while !isOver.current { signal.sendToThread() } }
    for _ in 0..<20 {
      try withLoop { loop, kernel in
        try loop.addSignalHandler(signal) { loop.stop() }; try loop.runForever()
      }
    }
    isOver.withLock { $0 = true }
    sender.join()
  }
}
