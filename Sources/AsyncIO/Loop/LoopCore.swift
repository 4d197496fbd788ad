// SPDX-License-Identifier: Apache-2.0

/// Which executor object a Swift job was enqueued on: it must be run by that one's method. What comes with a delay is
/// the runtime's, to end a sleep, and is run as nobody's.
enum JobExecutor: UInt8 {
  case task, serial, adoptedMain, adoptedDefault, nobody
}

/// The queues of a loop: what its handles and executors need of it, without the loop itself.
///
/// It belongs to the loop's thread but for the mailbox, and outlives the loop as long as a task or a handle does.
final class LoopCore {
  let mailbox: Mailbox
  /// The loop's clock.
  let clock: EventLoop.Clock
  // All of these hand out what they let go of, or leave it to a caller who holds it, and so call nobody while they change.
  private let readyCell = UncheckedCell(ReadyQueue())
  private let timersCell = UncheckedCell(TimerQueue())
  private let tasksCell = UncheckedCell(TaskRegistry())
  /// Called when a task has ended, while somebody waits for that.
  var onTaskEnd: ((any RunningTask) -> Void)?
  /// The step of an eager task that is expected, to be run now rather than queued.
  private var eagerStep = EagerStep.none
  private var capturedJob: (UnownedJob, JobExecutor)?
  /// The memory of messages that were taken, for the mailbox to use again; always empty.
  private(set) var spareMessages: [Mailbox.Message] = []
  static let spareLimit = 1000
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

  /// The tasks that were made and have not ended.
  var tasks: TaskRegistry {
    @inline(__always) _read { yield tasksCell.value }
    @inline(__always) _modify { yield &tasksCell.value }
  }

  init(mailbox: Mailbox, clock: EventLoop.Clock) {
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
    var messages = spareMessages
    spareMessages = []
    mailbox.takeAll(into: &messages)
    admit(messages)
    // The memory of a flood is not kept.
    guard messages.count <= LoopCore.spareLimit else { return }
    messages.removeAll(keepingCapacity: true)
    spareMessages = messages
  }

  private func admit(_ messages: [Mailbox.Message]) {
    for message in messages {
      switch message {
      case .call(let call): ready.append(.remoteCall(call))
      case .job(let job, let executor): ready.append(.job(job, executor))
      case .timedJob(let job, let executor, let deadline): timers.add(.job(job, executor), deadline: deadline)
      case .stop: markStop()
      }
    }
  }

  func schedule(_ entry: ReadyQueue.Entry) {
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

  enum EagerStep {
    case none
    /// That of the task which is being made: no other job can come before it.
    case first
    /// That by which the task, known by its identity, goes over to another executor: nothing else can have it go on while it
    /// runs.
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
  /// A closure that is an actor's, as MainActor's, takes two more steps: over to the actor's executor, and back at its end. There
  /// are no more, so that a task which goes to and fro for ever holds up nobody.
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

  func schedule(_ handle: TimerHandle) {
    handle.slot = timers.add(.callback(handle), deadline: handle.when.nanoseconds)
  }

  func cancelTimer(slot: Int) {
    timers.cancel(slot: slot)
  }

  func nextDeadline() -> Int64? { timers.nextDeadline }

  /// Queues the timers whose time has come, the earliest first.
  func queueDueTimers() {
    guard timers.count > 0 else { return }
    let now = clock.now.nanoseconds
    while let entry = timers.popDue(by: now) {
      switch entry {
      case .callback(let handle):
        handle.slot = nil
        ready.appendDue(.callback(handle))
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

  /// Drops every queue. What was dropped is let go of after the queues are empty, since it may call back.
  ///
  /// Jobs of the process's adopted executors are not ours to drop: they go on to the next loop.
  func close() {
    isClosed = true
    // In with what other threads have sent: then there is one queue to empty.
    admit(mailbox.close())
    let due = timers.removeAll()
    for case .callback(let handle) in due.map(\.entry) { handle.slot = nil }
    for entry in ready.removeAll() {
      switch entry {
      case .callback(let handle): handle.cancel()
      case .remoteCall(let call): call.drop()
      case .job(let job, let executor): LoopAdoption.keep(job, executor)
      }
    }
    for task in tasks.removeAll() { task.discard() }
    let now = clock.now
    for (entry, deadline) in due {
      switch entry {
      case .callback(let handle): handle.cancel()
      case .job(let job, let executor):
        LoopAdoption.keep(job, executor, delay: now.duration(to: EventLoop.Clock.Instant(nanoseconds: deadline)))
      }
    }
  }
}
