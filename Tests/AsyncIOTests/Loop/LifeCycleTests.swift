// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct LifeCycleTests {
  @Test("runUntilComplete returns the result and rethrows the error")
  func resultOrError() throws {
    try withLoop { loop, kernel in
      let value = try loop.runUntilComplete { 42 }
      #expect(value == 42)
      #expect(throws: TestError(number: 1)) { try loop.runUntilComplete { throw TestError(number: 1) } }
    }
  }

  @Test("a sleep of 100 ms takes at least that by the loop's clock")
  func sleeps() throws {
    try withLoop { loop, kernel in
      let start = loop.time
      try loop.runUntilComplete { try await loop.sleep(for: .milliseconds(100)) }
      #expect(start.duration(to: loop.time) >= .milliseconds(100))
      #expect(start.duration(to: loop.time) < .seconds(10))
    }
  }

  @Test("stopped before the work is done, runUntilComplete fails and gives no value")
  func stoppedBeforeComplete() throws {
    try withLoop { loop, kernel in
      let future = Future<Int>(loop)
      loop.callSoon { loop.stop() }
      #expect(throws: EventLoopError.stoppedBeforeComplete) { try loop.runUntilComplete(future) }
      // The future's end, later, stops no other run.
      try future.setResult(1)
      var order: [Int] = []
      loop.callSoon {
        loop.callSoon {
          order.append(1); loop.stop()
        }
      }
      try loop.runForever()
      #expect(order == [1])
    }
  }

  @Test("a run inside a run fails, and the outer one goes on")
  func nestedRuns() throws {
    try withLoop { loop, kernel in
      let other = try EventLoop(kernel: kernel)
      var goneOn = false
      loop.callSoon {
        #expect(throws: EventLoopError.alreadyRunning) { try loop.runForever() }
        #expect(throws: EventLoopError.alreadyRunning) { try loop.runUntilComplete { 1 } }
        #expect(throws: EventLoopError.alreadyRunning) { try other.runForever() }
        #expect(throws: EventLoopError.alreadyRunning) { try other.runUntilComplete { 1 } }
        #expect(throws: EventLoopError.alreadyRunning) { try EventLoop.run { _ in 1 } }
        #expect(loop.isRunning && !other.isRunning)
        #expect(EventLoop.running === loop)
        loop.callSoon {
          goneOn = true; loop.stop()
        }
      }
      try loop.runForever()
      #expect(goneOn)
      other.close()
    }
  }

  @Test("isRunning is true exactly inside a run")
  func isRunning() throws {
    try withLoop { loop, kernel in
      #expect(!loop.isRunning)
      var inside = false
      loop.callSoon {
        inside = loop.isRunning; loop.stop()
      }
      #expect(!loop.isRunning)
      try loop.runForever()
      #expect(inside && !loop.isRunning)
      #expect(throws: TestError()) { try loop.runUntilComplete { throw TestError() } }
      #expect(!loop.isRunning)
    }
  }

  @Test("what was scheduled before stop() runs, what comes after waits")
  func stopIsAMark() throws {
    try withLoop { loop, kernel in
      var order: [String] = []
      loop.callSoon {
        order.append("a")
        loop.callSoon { order.append("added before") }
      }
      loop.callSoon {
        loop.stop()
        loop.callSoon { order.append("added after") }
        loop.stop()
      }
      loop.callSoon {
        order.append("b")
        loop.callSoon { order.append("added after too") }
      }
      try loop.runForever()
      #expect(order == ["a", "b", "added before"])
      loop.callSoon { loop.stop() }
      try loop.runForever()
      #expect(order == ["a", "b", "added before", "added after", "added after too"])
    }
  }

  @Test("tasks obey the mark as callbacks do")
  func stopAndTasks() throws {
    try withLoop { loop, kernel in
      var order: [String] = []
      loop.createTask { order.append("before") }
      loop.callSoon { loop.stop() }
      loop.createTask { order.append("scheduled before stop ran") }
      loop.callSoon { loop.createTask { order.append("after") } }
      try loop.runForever()
      #expect(order == ["before", "scheduled before stop ran"])
      loop.stop()
      try loop.runForever()
      #expect(order == ["before", "scheduled before stop ran", "after"])
    }
  }

  @Test("a callback that schedules itself for ever keeps the loop from neither stopping nor polling")
  func selfScheduling() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      var turns = 0
      func again() {
        turns += 1
        loop.callSoon { again() }
        if turns == 10 { _ = try? far.send([1]) }
      }
      again()
      try loop.addReader(near.descriptor) { loop.stop() }
      try loop.runForever()
      #expect(turns >= 10 && turns < 20)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a zero-delay timer that arms itself again starves no I/O")
  func selfArmingTimer() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var turns = 0
      func again() {
        turns += 1
        loop.callLater(.zero) { again() }
      }
      again()
      try loop.addReader(near.descriptor) { loop.stop() }
      try loop.runForever()
      #expect(turns < 10)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("stop() before a run makes it poll once without blocking, and return")
  func stopBeforeRun() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var order: [String] = []
      try loop.addReader(near.descriptor) { order.append("reader") }
      loop.callSoon { order.append("before") }
      loop.callLater(.zero) { order.append("timer") }
      loop.stop()
      loop.callSoon { order.append("after") }
      try loop.runForever()
      #expect(order.sorted() == ["before", "reader", "timer"])
      #expect(kernel.pollTimeouts == [0])
      try loop.removeReader(near.descriptor)
      loop.stop()
      try loop.runForever()
      #expect(order.last == "after")
    }
  }

  @Test("callSoon(stop) polls once and runs what was ready, or became so in that poll")
  func callSoonStop() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var order: [String] = []
      try loop.addReader(near.descriptor) { order.append("reader") }
      loop.callSoon { loop.stop() }
      loop.callSoon { order.append("ready") }
      try loop.runForever()
      #expect(order == ["ready", "reader"])
      #expect(kernel.pollTimeouts == [0])
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a stop is used up by its run; callbacks and timers that are left run in the next")
  func runsAgain() throws {
    try withLoop { loop, kernel in
      kernel.stopClock()
      var order: [String] = []
      loop.callLater(.milliseconds(1)) {
        order.append("timer"); loop.stop()
      }
      loop.callSoon {
        loop.stop(); loop.callSoon { order.append("callback") }
      }
      try loop.runForever()
      #expect(order == [])
      kernel.advanceClock(by: .milliseconds(1))
      try loop.runForever()
      #expect(order == ["callback", "timer"])
    }
  }

  @Test("what a run's last poll saw is delivered once overall")
  func lastPoll() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var reads = 0
      try loop.addReader(near.descriptor) { reads += try near.receive(maxBytes: 1).count }
      loop.stop()
      try loop.runForever()
      #expect(reads == 1)
      for _ in 0..<3 {
        loop.stop()
        try loop.runForever()
      }
      #expect(reads == 1)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a future of another loop is rejected")
  func foreignFuture() throws {
    try withLoop { loop, kernel in
      let other = try EventLoop(kernel: kernel)
      #expect(throws: EventLoopError.foreignLoop) { try loop.runUntilComplete(Future<Int>(other)) }
      other.close()
    }
  }

  @Test("close() may be repeated; runs and remote calls then say that the loop is closed")
  func closed() throws {
    let kernel = TestKernel()
    let loop = try EventLoop(kernel: kernel)
    let remote = loop.remote
    let future = Future<Int>(loop)
    #expect(!loop.isClosed)
    loop.close()
    #expect(loop.isClosed)
    loop.close()
    #expect(loop.isClosed && !loop.isRunning)
    #expect(throws: EventLoopError.closed) { try loop.runForever() }
    #expect(throws: EventLoopError.closed) { try loop.runUntilComplete { 1 } }
    #expect(throws: EventLoopError.closed) { try loop.runUntilComplete(future) }
    #expect(throws: EventLoopError.closed) { try remote.callSoonThreadsafe { _ in } }
    #expect(throws: EventLoopError.closed) { try remote.stop() }
  }

  @Test("close() drops callbacks, timers and watchers unrun, and lets go of all they held")
  func closeDrops() throws {
    let kernel = TestKernel()
    let released = Boxed(0)
    weak var observed: EventLoop?
    let (near, far) = try Socket.pair()
    do {
      let loop = try EventLoop(kernel: kernel)
      observed = loop
      func probe() -> ReleaseProbe { ReleaseProbe { released.value += 1 } }
      let probes = (0..<5).map { _ in probe() }
      loop.callSoon { [loop, p = probes[0]] in
        p.touch(); loop.stop(); Issue.record("it ran")
      }
      loop.callLater(.zero) { [loop, p = probes[1]] in
        p.touch(); loop.stop(); Issue.record("it ran")
      }
      try loop.addReader(near.descriptor) { [loop, p = probes[2]] in
        p.touch(); loop.stop()
      }
      loop.setExceptionHandler { [p = probes[3]] _, _ in p.touch() }
      let future = Future<Int>(loop)
      future.addDoneCallback { [loop] _ in loop.stop() }
      #expect(kernel.openDescriptors.count == 1)
      loop.close()
      #expect(kernel.openDescriptors == [])
    }
    #expect(released.value == 5)
    #expect(observed == nil)
    try far.send([1])
  }

  @Test("a loop that is dropped unclosed closes itself")
  func droppedUnclosed() throws {
    let kernel = TestKernel()
    do {
      let loop = try EventLoop(kernel: kernel)
      loop.callSoon {}
      loop.stop()
      try loop.runForever()
    }
    #expect(kernel.openDescriptors == [])
  }

  /// Where the loop is made that stays.
  private static let line: UInt = #line + 4

  /// Drops a loop with a server, one that was closed, and one that closes itself.
  private static func dropLoops(debug: Bool) throws {
    let loop = try EventLoop()
    loop.debug = debug
    let server = try loop.runUntilComplete { try await loop.createServer(Recorder.init, port: 0) }
    #expect(server.isServing)
    for isClosed in [true, false] {
      let other = try EventLoop()
      other.debug = debug
      if isClosed { other.close() }
    }
  }

  @Test(
    "in debug mode the process's end reports loops that were dropped with what they serve", arguments: [false, true])
  func droppedServing(debug: Bool) async throws {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      [debug = debug as Bool] in
      try LifeCycleTests.dropLoops(debug: debug)
      exit(0)
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    let reports = text.split(separator: "\n").filter { $0.contains("was never closed") }
    #expect(reports.count == (debug ? 1 : 0))
    #expect(
      reports.allSatisfy {
        $0.contains("an event loop (made at AsyncIOTests/LifeCycleTests.swift:\(LifeCycleTests.line))")
      })
  }

  @Test("the running loop is the thread's own, inside its callbacks and tasks, and none elsewhere")
  func running() throws {
    #expect(EventLoop.running == nil)
    try withLoop { loop, kernel in
      #expect(EventLoop.running == nil)
      loop.callSoon { #expect(EventLoop.running === loop) }
      let inTask = try loop.runUntilComplete {
        let here = EventLoop.running === loop
        try await loop.sleep(for: .zero)
        return here && EventLoop.running === loop
      }
      #expect(inTask)
      let onOther = OneShot<Bool>()
      try loop.runUntilComplete {
        TestThread { onOther.set(EventLoop.running == nil) }.join()
      }
      #expect(onOther.wait())
      #expect(EventLoop.running == nil)
    }
  }

  @Test("a kernel that has no descriptors left makes the initialiser throw, and leaks none")
  func noDescriptors() throws {
    let kernel = TestKernel()
    kernel.inject(.tooManyOpenFiles, into: .makePoller)
    #expect(throws: IOError(.tooManyOpenFiles, "EventLoop.init")) { try EventLoop(kernel: kernel) }
    #expect(kernel.openDescriptors == [])
  }
}
