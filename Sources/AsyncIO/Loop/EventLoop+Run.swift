// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Runs until ``stop()`` is called. asyncio's `run_forever`.
  ///
  /// - Throws: ``EventLoopError`` `.closed`; `.alreadyRunning` when this loop or another runs on this thread;
  ///   `.systemFailure` when the system does not let the loop wait: it may be run again.
  public func runForever() throws(EventLoopError) {
    if isClosed { throw .closed }
    if isRunning || EventLoop.running != nil { throw .alreadyRunning }
    core.mailbox.setRunner(.current)
    EventLoop.runningLoop.value = self
    defer {
      EventLoop.runningLoop.value = nil
      core.mailbox.setRunner(nil)
    }
    if LoopAdoption.isOnMain { try serveMain(runUntilStopped) } else { try runUntilStopped() }
  }

  /// Runs the process's adopted jobs for ever, on a loop that is not the thread's in the eyes of the program.
  static func runHidden() throws {
    let loop = try EventLoop()
    loop.core.mailbox.setRunner(.current)
    try loop.serveMain(loop.runUntilStopped)
  }

  /// The loop itself. One iteration: wait for something to happen, hand out what did, run what is ready.
  private func runUntilStopped() throws(EventLoopError) {
    repeat { try iterate() } while !core.ready.takeStop()
  }

  private func iterate() throws(EventLoopError) {
    core.admitMessages()
    try poll()
    deliverEvents()
    core.queueDueTimers()
    runReady()
  }

  /// Runs one iteration as the thread's loop, for whoever gives several loops of a thread their turns. It waits for nothing
  /// where the poller does not.
  package func runOnce() throws(EventLoopError) {
    core.mailbox.setRunner(.current)
    EventLoop.runningLoop.value = self
    defer {
      EventLoop.runningLoop.value = nil
      core.mailbox.setRunner(nil)
    }
    try iterate()
    // Whoever gives the turns decides about the end.
    _ = core.ready.takeStop()
  }

  /// Whether an iteration would find something to run without hearing of a descriptor, or of time that passes.
  package var hasWork: Bool { !core.ready.isEmpty || core.mailbox.mayHaveMessages }

  /// Whether there is something from other threads, or from other loops of this one.
  package var hasMessages: Bool { core.mailbox.mayHaveMessages }

  /// When the earliest timer is due, on the loop's clock; nil without one.
  package var nextDeadline: Clock.Instant? { core.nextDeadline().map(Clock.Instant.init) }

  /// Waits until something is ready, and not at all when something is.
  private func poll() throws(EventLoopError) {
    events.value.removeAll(keepingCapacity: true)
    let timeout = pollTimeout()
    // Nothing to hear of, nothing to wait for: the system call would answer "nothing".
    if timeout == 0, readiness.watchedCount == 0 { return }
    let blocks = timeout != 0 && core.mailbox.prepareToSleep()
    defer {
      if blocks { core.mailbox.didWake() }
      core.admitMessages()
    }
    do throws(Errno) {
      try poller.wait(timeout: blocks ? timeout : 0, into: &events.value)
    } catch {
      throw EventLoopError(
        .systemFailure, "the event loop's poller failed: \(IOError(error, "wait")); was its descriptor closed?")
    }
  }

  /// How long the poll may take, in nanoseconds; nil for ever.
  private func pollTimeout() -> Int64? {
    if !core.ready.isEmpty || core.ready.stopMark != nil { return 0 }
    guard let deadline = core.nextDeadline() else { return nil }
    let (wait, overflow) = deadline.subtractingReportingOverflow(core.clock.now.nanoseconds)
    return overflow ? (deadline < 0 ? 0 : .max) : max(0, wait)
  }

  /// Tells the watchers of what is ready. All events were collected before the first watcher is told, and each is
  /// held against the table when its turn comes: a watcher may close, add or remove any descriptor.
  private func deliverEvents() {
    isDelivering = true
    for event in events.value {
      if let (watcher, ready) = readiness.recipient(of: event) {
        watcher.use { $0.descriptorIsReady(ready) }
      } else {
        dropEvent(event)
      }
    }
    isDelivering = false
    if !releasedWatchers.value.isEmpty { dropReleasedWatchers() }
  }

  /// Runs what was ready when the batch began. What its callbacks add waits for the next iteration, after another
  /// poll, unless one of them stops the loop: then everything up to the stop still runs.
  ///
  /// A few steps of tasks that come directly behind are run without a poll: when tasks await one another, each hand-over
  /// would cost a system call.
  private func runReady() {
    let end = core.ready.tail
    while let entry = core.nextEntry(before: end) {
      if debug { runTimed(consume entry) } else { run(consume entry) }
    }
    var left = EventLoop.stepsWithoutPoll
    while left > 0, let entry = core.nextJob() {
      if debug { runTimed(consume entry) } else { run(consume entry) }
      left -= 1
    }
  }

  /// So few that an I/O event hardly waits for them.
  private static let stepsWithoutPoll = 32

  @inline(__always)
  func run(_ entry: consuming ReadyQueue.Entry) {
    switch consume entry {
    case .callback(let call):
      call.isQueued = false
      do { try call.run() } catch { reportFailure(of: call, error) }
      core.recycle(call)
    case .wakeUp(let sleeper):
      sleeper.wake()
    case .remoteCall(let call):
      run(consume call)
    case .job(let job, let executor):
      run(job, on: executor)
    }
  }

  private func run(_ call: consuming any RemoteCall) {
    // There is no other kind. The queues do not know it, since it knows the loop.
    guard var call = consume call as? RemoteCallback else { return }
    do { try call.run(on: self) } catch { reportFailure(of: nil, error) }
    if call.isReusable, isKnownUniquelyReferenced(&call) { core.recycle(consume call) }
  }
}
