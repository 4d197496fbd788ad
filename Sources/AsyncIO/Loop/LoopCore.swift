// SPDX-License-Identifier: Apache-2.0
import BasicContainers
import DequeModule

/// The queues of a loop: what its handles and executors need of it, without the loop itself.
///
/// It belongs to the loop's thread but for the mailbox, and outlives the loop as long as a task or a handle does.
@usableFromInline
final class LoopCore {
  let mailbox: Mailbox
  /// The loop's clock.
  let clock: LoopClock
  // Changing one of these never runs other code, so that no second access can begin in the middle: what they remove they
  // return, or the caller has a reference to it as well, and so it is released when the change is over.
  private let readyCell = UncheckedCell(ReadyQueue())
  private let timersCell = UncheckedCell(TimerQueue())
  /// Which job of a task that starts eagerly is expected next. That one is captured, to be run at once, and not queued.
  private var eagerStep = EagerStep.none
  private var capturedJob: (UnownedJob, JobExecutor)?
  /// An empty queue that keeps its memory, which the mailbox is given for the next messages.
  let spareMessages = UncheckedCell(UniqueDeque<Mailbox.Message>())
  /// The memory of calls that are over and that no handle refers to, for the next ones.
  private let spareCalls = UncheckedCell(UniqueArray<ScheduledCall>())
  /// The same of calls from other threads, which the mailbox is given.
  private let spareRemoteCalls = UncheckedCell([any RemoteCall]())
  static let spareLimit = 1000
  /// Senders run ahead of the loop by thousands.
  static let spareRemoteLimit = 5000
  /// Set by `close`, and never unset.
  private(set) var isClosed = false

  var ready: ReadyQueue {
    @inline(__always) _read { yield readyCell.value }
    @inline(__always) _modify { yield &readyCell.value }
  }

  private(set) var timers: TimerQueue {
    @inline(__always) _read { yield timersCell.value }
    @inline(__always) _modify { yield &timersCell.value }
  }

  init(mailbox: Mailbox, clock: LoopClock) {
    self.mailbox = mailbox
    self.clock = clock
  }

  /// Traps when a method is called from another thread than the one that runs the loop. A name without a type's is a
  /// method of the loop.
  @inline(__always)
  func checkThread(_ method: StaticString) {
    if mailbox.isOnRunnersThread || !mailbox.isRunning { return }
    LoopCore.trapForeignThread(method)
  }

  /// The same for a method of an object of the loop's, whose type's name goes before the method's.
  @inline(__always)
  func checkThread(_ method: StaticString, of object: AnyObject) {
    if mailbox.isOnRunnersThread || !mailbox.isRunning { return }
    LoopCore.trapForeignThread(method, of: object)
  }

  @inline(never)
  private static func trapForeignThread(_ method: StaticString, of object: AnyObject) -> Never {
    trapForeignThread("\(type(of: object)).\(method)")
  }

  @inline(never)
  private static func trapForeignThread(_ method: StaticString) -> Never {
    let name = method.description
    trapForeignThread(name.contains(".") ? name : "EventLoop.\(name)")
  }

  @inline(never)
  private static func trapForeignThread(_ method: String) -> Never {
    misuse("\(method): called from another thread than the loop's own; use loop.remote from other threads")
  }

  /// Moves what other threads have left to the end of the queue. Whoever schedules does this first, so that a call
  /// that was sent before comes before.
  @inline(__always)
  func admitMessages() {
    if mailbox.mayHaveMessages { admitAll() }
  }

  private func admitAll() {
    mailbox.takeAll(into: &spareMessages.value, leaving: &spareRemoteCalls.value)
    let count = spareMessages.value.count
    admit(&spareMessages.value)
    // The memory of a flood is not kept.
    if count > LoopCore.spareLimit { spareMessages.value = UniqueDeque() }
  }

  private func admit(_ messages: inout UniqueDeque<Mailbox.Message>) {
    while let message = messages.popFirst() {
      switch consume message {
      case .call(let call): ready.append(.remoteCall(consume call))
      case .job(let job, let executor): ready.append(.job(job, executor))
      case .timedJob(let job, let executor, let deadline): timers.add(.job(job, executor), deadline: deadline)
      case .stop: markStop()
      }
    }
  }

  /// Makes a call that runs once. Calls are made and run by the thousand, and an object from the heap for each would cost as
  /// much as the rest: so those that are over lend the next ones their memory.
  @inline(__always)
  func makeCall(_ callback: consuming @escaping () throws -> Void) -> ScheduledCall {
    guard !spareCalls.value.isEmpty else { return ScheduledCall(self, callback) }
    let call = spareCalls.value.removeLast()
    call.reuse(callback)
    return call
  }

  /// Takes back the memory of a call that is over, unless a handle refers to it.
  func recycle(_ call: consuming ScheduledCall) {
    guard isKnownUniquelyReferenced(&call), call.isReusable, !isClosed else { return }
    // The memory of a flood is not kept.
    if spareCalls.value.count < LoopCore.spareLimit { spareCalls.value.append(call) }
  }

  /// Takes back the memory of a call from another thread that is over, and that nobody else refers to.
  func recycle(_ call: consuming any RemoteCall) {
    if spareRemoteCalls.value.count < LoopCore.spareRemoteLimit { spareRemoteCalls.value.append(call) }
  }

  // By a closure rather than the accessor, which as a coroutine would cost a call to and fro in the loop's innermost loop.

  /// Takes the first entry of the ready queue, as ``ReadyQueue/next(before:)`` does.
  @inline(__always)
  func nextEntry(before limit: Int) -> ReadyQueue.Entry? { readyCell.update { $0.next(before: limit) } }

  /// Takes the first entry, if it is a job, as ``ReadyQueue/nextJob()`` does.
  @inline(__always)
  func nextJob() -> ReadyQueue.Entry? { readyCell.update { $0.nextJob() } }

  func schedule(_ entry: consuming ReadyQueue.Entry) {
    admitMessages()
    ready.append(entry)
  }

  func schedule(_ job: UnownedJob, _ executor: JobExecutor) {
    switch eagerStep {
    case .first: break
    case .ofTask(let task) where job.taskIdentity == task: break
    default: return schedule(.job(job, executor))
    }
    eagerStep = .none
    capturedJob = (job, executor)
  }

  @usableFromInline
  enum EagerStep {
    case none
    /// The first job of the task that is being made. No other job can come before that.
    case first
    /// The next job of the task with this identity, by which it moves to another executor. While a task runs, no other job
    /// of it can come: it does not wait for anything that could wake it.
    case ofTask(UInt)
  }

  /// Has the first step of the task that is started next be kept for ``runEagerSteps(_:run:)``.
  ///
  /// - Returns: what was expected so far, since an eager task may start others.
  func expectEagerStart() -> EagerStep {
    let outer = eagerStep
    eagerStep = .first
    return outer
  }

  /// Runs the task that was started, up to its first suspension.
  ///
  /// A closure that is isolated to an actor, such as MainActor, takes two more steps: one to move to the actor's executor, and
  /// one to move back at its end. Further steps are queued as usual, since a task may move to and fro for ever.
  func runEagerSteps(_ outer: EagerStep, run: (UnownedJob, JobExecutor) -> Void) {
    defer { eagerStep = outer }
    for _ in 0..<3 {
      guard let (job, executor) = capturedJob.take() else { return }
      eagerStep = .ofTask(job.taskIdentity)
      run(job, executor)
    }
    if let (job, executor) = capturedJob.take() { schedule(.job(job, executor)) }
  }

  func schedule(_ job: UnownedJob, _ executor: JobExecutor, deadline: Int64) {
    timers.add(.job(job, executor), deadline: deadline)
  }

  func schedule(_ call: ScheduledCall, at deadline: LoopClock.Instant) {
    call.deadline = deadline
    call.timerTicket = timers.add(.callback(call), deadline: deadline.nanoseconds)
  }

  /// Has it woken at that time. It is kept until then, or ``cancelTimer(of:)``.
  func schedule(_ sleeper: any Wakeable, at deadline: LoopClock.Instant) {
    sleeper.timerTicket = timers.add(.wakeUp(sleeper), deadline: deadline.nanoseconds)
  }

  /// Takes back a wake-up of ``schedule(_:at:)`` whose time has not come.
  func cancelTimer(of sleeper: any Wakeable) {
    guard let ticket = sleeper.timerTicket else { return }
    sleeper.timerTicket = nil
    timers.cancel(ticket)
  }

  /// Takes back a timer, unless its time has come.
  func cancelTimer(_ ticket: TimerTicket) { timers.cancel(ticket) }

  func nextDeadline() -> Int64? { timers.nextDeadline }

  /// Queues the timers whose time has come, the earliest first.
  func queueDueTimers() {
    guard timers.count > 0 else { return }
    let now = clock.now.nanoseconds
    while let entry = timers.popDue(by: now) {
      switch entry {
      case .callback(let call):
        // It is not told that its ticket is void: of many that are due together, a look at each would cost as much as its run.
        ready.appendDue(.callback(call))
      case .wakeUp(let sleeper):
        sleeper.timerTicket = nil
        ready.appendDue(.wakeUp(sleeper))
      case .job(let job, let executor):
        ready.appendDue(.job(job, executor))
      }
    }
  }

  /// Asks the run to end behind everything that was scheduled so far, timers that are due by now among it.
  func stop() {
    admitMessages()
    markStop()
  }

  private func markStop() {
    queueDueTimers()
    ready.markStop()
  }

  /// Empties every queue. What was in one is released after that one is empty, since a closure's captures may call the loop
  /// when they go.
  ///
  /// - Returns: the Swift jobs that were in them, those in the order of the queue before those that a time has to come for.
  func close() -> [LeftJob] {
    isClosed = true
    spareCalls.value.removeAll()
    spareRemoteCalls.value = []
    // What other threads have sent joins the queues first: then only those have to be emptied.
    var messages = mailbox.close()
    admit(&messages)
    let due = timers.removeAll()
    for case (.wakeUp(let sleeper), _) in due { sleeper.timerTicket = nil }
    var left: [LeftJob] = []
    var entries = ready.removeAll()
    while let entry = entries.popFirst() {
      switch consume entry {
      case .callback(let call): call.cancel()
      case .wakeUp: break
      case .remoteCall(let call): call.drop()
      case .job(let job, let executor): left.append(LeftJob(job: job, executor: executor, delay: nil))
      }
    }
    let now = clock.now
    for (entry, deadline) in due {
      switch entry {
      case .callback(let call): call.cancel()
      case .wakeUp: break
      case .job(let job, let executor):
        let delay = now.duration(to: LoopClock.Instant(nanoseconds: deadline))
        left.append(LeftJob(job: job, executor: executor, delay: delay))
      }
    }
    return left
  }
}
