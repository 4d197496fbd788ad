// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import DequeModule
import SystemPackage

/// A few detached threads that run blocking jobs, made as needed and gone after a while without work.
///
/// Nobody joins them: a job that hangs holds up neither a loop nor the end of the process. The platform's lock and
/// condition guard every mutable property, which is why the class may call itself sendable.
@safe
final class WorkerThreads: @unchecked Sendable {
  struct Options: Sendable {
    /// How many threads at the most, but for those that are stuck in a job which nobody waits for.
    var limit: Int
    /// How many threads beyond the limit may take the places of those.
    var spares = 0
    /// What the threads' names begin with; a number follows.
    var name: String
    /// In bytes; nil for the system's default.
    var stackSize: Int?
    /// How long a thread without work stays, in seconds.
    var patience = 10
    /// Tests refuse threads here, as the system does when it has none left.
    var refusal: @Sendable () -> Errno? = { nil }
    /// Tests wait here in the condition's place, without the lock; the answer is whether the time was up.
    var wait: (@Sendable () -> Bool)?
  }

  private let options: Options

  var limit: Int { options.limit }

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  /// Signalled for a job, broadcast for the end.
  private let jobArrived: UnsafeMutablePointer<pthread_cond_t>
  /// What no thread has taken yet, oldest first.
  private var jobs = Deque<BlockingJob>()
  /// How many jobs have to be queued before those that were cancelled are looked for.
  private var purgeLimit = WorkerThreads.leastPurgeLimit
  /// The numbers of the threads: in use or not.
  private var numbers: [Bool] = []
  private var threads = 0
  /// How many of the threads wait for a job.
  private var idle = 0
  /// How many of the threads are busy with a job that nobody waits for any more. Where such a job ends before
  /// ``jobWasAbandoned()`` has counted it, this is too low for a moment, and may be negative.
  private var abandoned = 0
  /// The threads that have begun, to tell one's own.
  private var members: Set<UInt> = []
  private var isShutDown = false
  /// Called by the last thread, after a shutdown.
  private var endActions: [@Sendable () -> Void] = []

  private static let leastPurgeLimit = 64

  init(_ options: Options) {
    self.options = options
    unsafe lock = .allocate(capacity: 1)
    unsafe jobArrived = .allocate(capacity: 1)
    unsafe pthread_mutex_init(lock, nil)
    // Deadlines count on the clock that nobody sets.
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_cond_init(jobArrived, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  convenience init(limit: Int, name: String) { self.init(Options(limit: limit, name: name)) }

  deinit {
    // Every thread holds a reference to this object, so that none can be using these any more.
    unsafe pthread_cond_destroy(jobArrived)
    unsafe pthread_mutex_destroy(lock)
    unsafe jobArrived.deallocate()
    unsafe lock.deallocate()
  }

  /// Queues a job; jobs begin in order. Throws only when not a single thread can be made for it.
  ///
  /// - Returns: false after a shutdown.
  func submit(_ job: BlockingJob) throws(Errno) -> Bool {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    if isShutDown { return false }
    purgeIfLong()
    jobs.append(job)
    if idle >= jobs.count {
      unsafe pthread_cond_signal(jobArrived)
    } else if mayGrow, let error = startThread(), threads == 0 {
      jobs.removeLast()
      throw error
    }
    return true
  }

  /// Whether there may be one more thread.
  private var mayGrow: Bool { threads < options.limit + min(max(0, abandoned), options.spares) }

  /// Nobody waits for a running job any more: the jobs behind it need not wait for it either.
  private func jobWasAbandoned() {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    abandoned += 1
    // Where the system has no thread left, they wait as before.
    if jobs.count > idle, mayGrow { _ = startThread() }
  }

  /// Queues a closure, on threads that are never shut down.
  func submit(_ work: @escaping @Sendable () -> Void) throws(Errno) { _ = try submit(BlockingJob(work)) }

  /// Removes what was cancelled, each time that the queue has doubled: behind a job that hangs it would pile up.
  private func purgeIfLong() {
    guard jobs.count >= purgeLimit else { return }
    jobs.removeAll { $0.isCancelled }
    purgeLimit = max(WorkerThreads.leastPurgeLimit, 2 * jobs.count)
  }

  /// Takes no more jobs, and ends the threads when those that were taken have been run.
  ///
  /// - Parameters:
  ///   - cancelPending: whether to cancel the jobs that have not begun.
  ///   - whenDone: called once the last thread has no more to do, by that or by the caller.
  func shutdown(cancelPending: Bool, whenDone: @escaping @Sendable () -> Void) {
    unsafe pthread_mutex_lock(lock)
    isShutDown = true
    var cancelled = Deque<BlockingJob>()
    if cancelPending { swap(&cancelled, &jobs) }
    unsafe pthread_mutex_unlock(lock)
    for job in cancelled { job.cancel() }

    unsafe pthread_mutex_lock(lock)
    let isDone = threads == 0
    if !isDone { endActions.append(whenDone) }
    unsafe pthread_cond_broadcast(jobArrived)
    unsafe pthread_mutex_unlock(lock)
    if isDone { whenDone() }
  }

  /// Whether the caller is one of the threads.
  var isOnMember: Bool {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return members.contains(ThreadIdentity.current.number)
  }

  /// How many threads there are, how many of them wait, and how many jobs are queued, with those that were cancelled
  /// and not removed yet.
  var counts: (threads: Int, idle: Int, queued: Int) {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    return (threads, idle, jobs.count)
  }

  // MARK: Threads

  /// What a new thread is told.
  private final class Start {
    let owner: WorkerThreads
    let number: Int

    init(_ owner: WorkerThreads, _ number: Int) {
      self.owner = owner
      self.number = number
    }
  }

  /// The error when the system refuses one.
  private func startThread() -> Errno? {
    if let error = options.refusal() { return error }
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    if let size = options.stackSize {
      let code = unsafe pthread_attr_setstacksize(&attributes, size)
      if code != 0 { return Errno(rawValue: code) }
    }
    // Signals belong to the threads that ask for them, not to ours.
    var all = casyncio_no_signals()
    var previous = casyncio_no_signals()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &previous)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
    var thread = pthread_t()
    let number = numbers.firstIndex(of: false) ?? numbers.count
    let start = unsafe Unmanaged.passRetained(Start(self, number))
    let code = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        // Takes over the reference that the thread's maker retained for it.
        let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        start.owner.work(start.number)
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      unsafe start.release()
      return Errno(rawValue: code)
    }
    if number == numbers.count { numbers.append(true) } else { numbers[number] = true }
    threads += 1
    return nil
  }

  private func work(_ number: Int) {
    nameThread(number)
    let identity = ThreadIdentity.current.number
    unsafe pthread_mutex_lock(lock)
    members.insert(identity)
    while true {
      if let job = jobs.popFirst() {
        unsafe pthread_mutex_unlock(lock)
        let wasAbandoned = job.run { [self] in jobWasAbandoned() }
        unsafe pthread_mutex_lock(lock)
        if wasAbandoned { abandoned -= 1 }
        // A thread was made in the place of this one, and stays: this one is one too many.
        if threads > options.limit + max(0, abandoned), !isShutDown { break }
        continue
      }
      if isShutDown { break }
      idle += 1
      let isTimeUp = waitForJob()
      idle -= 1
      // A job may have come after the time was up and before the lock was ours again. It counts on this thread.
      if isTimeUp, jobs.isEmpty { break }
    }
    members.remove(identity)
    numbers[number] = false
    threads -= 1
    var actions: [@Sendable () -> Void] = []
    if threads == 0 { swap(&actions, &endActions) }
    unsafe pthread_mutex_unlock(lock)
    for action in actions { action() }
  }

  /// Waits until a job arrives, at most as long as a thread stays without one. The lock is let go of meanwhile.
  ///
  /// - Returns: whether the time was up.
  private func waitForJob() -> Bool {
    if let wait = options.wait {
      unsafe pthread_mutex_unlock(lock)
      defer { unsafe pthread_mutex_lock(lock) }
      return wait()
    }
    var deadline = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &deadline)
    deadline.tv_sec += options.patience
    return unsafe pthread_cond_timedwait(jobArrived, lock, &deadline) == ETIMEDOUT
  }

  /// A name is fifteen bytes at the most: the number stays whole, what stands before it is cut.
  private func nameThread(_ number: Int) {
    let suffix = "_\(number)"
    var prefix = options.name.prefix { $0 != "\0" }.unicodeScalars[...]
    while String(prefix).utf8.count + suffix.utf8.count > 15, !prefix.isEmpty { prefix.removeLast() }
    unsafe casyncio_name_thread(String(prefix) + suffix)
  }
}
