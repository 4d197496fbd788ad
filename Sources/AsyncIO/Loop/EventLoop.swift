// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// An event loop: callbacks, timers, tasks and sockets on one thread. asyncio's event loop.
///
/// Run a program on a loop with ``run(_:isolation:_:)``:
///
/// ```swift
/// try EventLoop.run { loop in
///   try await loop.sleep(for: .seconds(1))
///   print("hello")
/// }
/// ```
///
/// or make one, schedule callbacks and call ``runForever()``, as asyncio's low-level programs do.
///
/// A loop belongs to the thread that runs it. It is not `Sendable`, and neither is anything that it makes, so that the
/// compiler rejects a program that uses one from another thread. The door for other threads is ``remote``. Where the
/// compiler cannot see it, every method checks the thread and traps with a sentence that says what to do.
public final class EventLoop {
  let core: LoopCore
  package let kernel: any Kernel
  let poller: any Poller
  var readiness = ReadinessTable()
  /// Whether watchers are being told, each by a reference that is not counted.
  var isDelivering = false
  /// Those that have let go meanwhile, and may be in the middle of being told.
  let releasedWatchers = UncheckedCell([ReadinessWatcher]())
  /// What the last poll reported; kept to use its memory again.
  let events = UncheckedCell([PollEvent]())
  let taskExecutor: LoopTaskExecutor
  let serialExecutor: LoopSerialExecutor
  private let tasksCell = UncheckedCell(TaskRegistry())
  /// Called when a task has ended; nil while nobody waits for that.
  var onTaskEnd: ((any RunningTask) -> Void)?
  /// What the objects of this loop share, by its type; see ``attachment(_:)``.
  private var attachments: [ObjectIdentifier: AnyObject] = [:]
  /// The custom handler; nil for the default one.
  var exceptionHandler: ExceptionHandler?
  /// The signals that the loop handles; nil while there are none.
  var signalHandlers: SignalHandlers?
  /// Called when the loop closes, so that who waits for it elsewhere does not wait for ever.
  var closeHooks: [Int: () -> Void] = [:]
  var nextCloseHook = 0
  /// Where blocking work goes that names no executor; made when it is first needed.
  var defaultExecutor: (any BlockingExecutor)?
  /// Set when the default executor was shut down: it is not to be made again.
  var isDefaultExecutorShutDown = false

  /// Debug mode: checks that cost time, and reports of what is easily got wrong. asyncio's `get_debug` and `set_debug`.
  ///
  /// On from the start when the environment variable `ASYNCIODEBUG` is set and not empty.
  public var debug: Bool {
    get { isDebugging.value }
    set {
      isDebugging.value = newValue
      if newValue, !isClosed { UnclosedLoops.insert(core, callSite) } else { UnclosedLoops.remove(core) }
    }
  }
  /// In a cell, since it is read for each callback: the usual check for overlapping accesses would make a callback dearer by a
  /// twentieth.
  private let isDebugging = UncheckedCell(Environment.isSet("ASYNCIODEBUG"))
  /// Which tasks had steps, in a simulation; nil elsewhere. In a cell for the same reason.
  let stepLog = UncheckedCell<StepLog?>(nil)
  /// In debug mode, callbacks and task steps that take at least this long are logged. 100 ms from the start.
  public var slowCallbackDuration: Duration = .milliseconds(100)

  /// Where the loop was made.
  private let callSite: CallSite

  /// Makes a loop, which runs nothing until it is told to.
  ///
  /// It is the maker's to ``close()``. One that is dropped closes itself only when nothing that it serves is left:
  /// a server, a connection, a child or a suspended task keeps its loop. In debug mode the process's end reports loops that were
  /// not closed, with the place where they were made.
  ///
  /// - Throws: ``IOError`` when the system refuses the descriptors that it needs.
  public convenience init(file: StaticString = #fileID, line: UInt = #line) throws(IOError) {
    try self.init(kernel: platformKernel, file: file, line: line)
  }

  /// How much one read takes at the most: a share of a tick that leaves room for the others.
  static let readLimit = 256 * 1024

  package init(
    kernel: any Kernel, file: StaticString = #fileID, line: UInt = #line
  ) throws(IOError) {
    do throws(Errno) {
      // A run on this thread will need it. It is opened here, where the lack of a descriptor can be thrown.
      if ThreadIdentity.isMain { try MainDispatchQueue.open() }
      poller = try kernel.makePoller()
    } catch {
      throw IOError(error, "EventLoop.init")
    }
    self.kernel = kernel
    callSite = CallSite(file, line)
    core = LoopCore(mailbox: Mailbox(waker: poller.waker), clock: LoopClock(kernel: kernel))
    let door = JobDoor(core)
    taskExecutor = LoopTaskExecutor(door)
    serialExecutor = LoopSerialExecutor(door)
    if debug { UnclosedLoops.insert(core, callSite) }
  }

  deinit {
    if !core.isClosed { tearDown() }
  }

  /// Lends the loop that runs on this thread; nil when none does. asyncio's `get_running_loop`.
  ///
  /// For code that is not handed a loop. What the closure captures is sent to the loop's side: the caller lets go of it,
  /// and what is returned is `Sendable`. Else something that two threads can reach could get to the loop by way of here, where
  /// the compiler sees no connection between them.
  public static func withRunning<Result: Sendable>(
    _ body: sending (EventLoop) throws -> Result
  ) rethrows -> Result? {
    guard let running else { return nil }
    return try body(running)
  }

  /// The loop that runs on this thread. It must not be handed to a program as it is: to the compiler it would look like
  /// something that may go to any thread.
  package static var running: EventLoop? { runningLoop.value }

  static let runningLoop = ThreadLocal<EventLoop>()

  /// The tasks that were made and have not ended.
  var tasks: TaskRegistry {
    @inline(__always) _read { yield tasksCell.value }
    @inline(__always) _modify { yield &tasksCell.value }
  }

  // MARK: State

  /// Whether the loop is inside a run. asyncio's `is_running`.
  public var isRunning: Bool { core.mailbox.isRunning }

  /// Whether ``close()`` was called. asyncio's `is_closed`.
  public var isClosed: Bool { core.isClosed }

  /// Ends the run behind everything that was scheduled before. asyncio's `stop`.
  ///
  /// Callbacks that were scheduled before this call still run, also those that a callback of the same iteration added;
  /// what is scheduled after it waits for the next run. Before a run, it makes that run do one iteration. On a closed loop
  /// it does nothing.
  public func stop() {
    checkThread("stop")
    if !isClosed { core.stop() }
  }

  /// Closes the loop for good. asyncio's `close`.
  ///
  /// Callbacks and timers that have not run are dropped, and what they captured is released. Transports that are still
  /// open lose their descriptors without being told. The default executor is shut down, and not waited for. Closing twice
  /// does nothing; closing a running loop is a programmer error.
  public func close() {
    require(!isRunning, "EventLoop.close(): the loop is running; stop it first")
    guard !isClosed else { return }
    tearDown()
  }

  private func tearDown() {
    UnclosedLoops.remove(core)
    let jobs = core.close()
    for task in tasks.removeAll() { task.discard() }
    // Those of the process's own executors are not ours to drop: they go on to the next loop.
    for left in jobs { LoopAdoption.keep(left) }
    for watcher in readiness.removeAll() { watcher.loopWasClosed() }
    signalHandlers = nil
    poller.close()
    let hooks = closeHooks
    closeHooks.removeAll()
    for (_, hook) in hooks.sorted(by: { $0.key < $1.key }) { hook() }
    defaultExecutor?.shutdown(cancelPending: false) {}
    defaultExecutor = nil
    exceptionHandler = nil
  }

  /// Registers what is to happen when the loop closes; the answer takes it back.
  func onClose(_ hook: @escaping () -> Void) -> () -> Void {
    let key = nextCloseHook
    nextCloseHook += 1
    closeHooks[key] = hook
    return { self.closeHooks[key] = nil }
  }

  /// What all objects of a kind share on this loop: made when the first of them asks, kept as long as the loop.
  func attachment<Object: AnyObject>(_ make: () -> Object) -> Object {
    let key = ObjectIdentifier(Object.self)
    if let object = attachments[key] as? Object { return object }
    let object = make()
    attachments[key] = object
    return object
  }

  // MARK: Calls

  /// Calls back as soon as possible, in the next iteration. asyncio's `call_soon`.
  ///
  /// Callbacks run in the order in which they were scheduled, each exactly once. An error that one throws goes to the
  /// exception handler. To call this on a closed loop is a programmer error.
  @inlinable
  @discardableResult
  public func callSoon(
    file: StaticString = #fileID, line: UInt = #line,
    _ callback: consuming @escaping () throws -> Void
  ) -> Handle {
    Handle(scheduleSoon(file, line, callback).object)
  }

  @usableFromInline
  func scheduleSoon(
    _ file: StaticString, _ line: UInt, _ callback: consuming @escaping () throws -> Void
  ) -> LentReference<ScheduledCall> {
    check("callSoon")
    let call = core.makeCall(callback)
    if debug { call.callSite = CallSite(file, line) }
    let lent = LentReference(call)
    core.schedule(.callback(consume call))
    return lent
  }

  /// Calls back once the delay has passed, never before. asyncio's `call_later`.
  ///
  /// A delay of zero or less is due at once. Callbacks that are due at the same time run in the order in which they
  /// were scheduled. There is no longest delay.
  @discardableResult
  public func callLater(
    _ delay: Duration, file: StaticString = #fileID, line: UInt = #line,
    _ callback: consuming @escaping () throws -> Void
  ) -> TimerHandle {
    callAt(time.advanced(by: delay), file: file, line: line, callback)
  }

  /// Calls back at a moment of the loop's clock, never before. asyncio's `call_at`.
  @discardableResult
  public func callAt(
    _ when: Clock.Instant, file: StaticString = #fileID, line: UInt = #line,
    _ callback: consuming @escaping () throws -> Void
  ) -> TimerHandle {
    check("callAt")
    let call = core.makeCall(callback)
    if debug { call.callSite = CallSite(file, line) }
    core.schedule(call, at: when)
    return TimerHandle(call)
  }

  /// The clock of a loop.
  public typealias Clock = LoopClock

  /// The present moment on the loop's clock. asyncio's `time`.
  public var time: Clock.Instant {
    // Of the kernel that is kept here, one step away, which is borrowed without a reference of its own.
    Clock.Instant(nanoseconds: kernel.monotonicNanoseconds())
  }

  /// The loop's clock.
  public var clock: Clock { core.clock }

  /// The door for other threads.
  public var remote: RemoteLoop { RemoteLoop(core.mailbox) }

  // MARK: Checks

  /// Traps when a method that cannot throw is called from a foreign thread, or on a closed loop.
  @inline(__always)
  func check(_ method: StaticString) {
    checkThread(method)
    if core.isClosed { misuse("EventLoop.\(method): the event loop is closed") }
  }

  /// Traps when a method is called from a foreign thread, and throws `.closed` on a closed loop.
  @inline(__always)
  func checkOpen(_ method: StaticString) throws(EventLoopError) {
    checkThread(method)
    if core.isClosed { throw EventLoopError(.closed, "\(method): the event loop is closed") }
  }

  /// Traps when a method is called from a foreign thread.
  ///
  /// While the loop does not run, any thread may be its own: whoever has it may have been sent it.
  @inline(__always)
  func checkThread(_ method: StaticString) { core.checkThread(method) }

  /// The same for a method of an object that belongs to the loop.
  @inline(__always)
  func checkThread(_ method: StaticString, of object: AnyObject) { core.checkThread(method, of: object) }
}
