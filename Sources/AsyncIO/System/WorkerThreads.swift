// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import DequeModule
import Glibc
import SystemPackage

/// A few detached threads that run blocking jobs, made as needed and gone after a while without work.
///
/// Nobody joins them: a job that hangs holds up neither a loop nor the end of the process. The platform's lock and
/// condition guard every mutable property, which is why the class may call itself sendable.
@safe
final class WorkerThreads: @unchecked Sendable {
  private typealias Job = @Sendable () -> Void

  private let limit: Int
  /// How long a thread without work stays, in seconds.
  private let patience: Int

  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let jobArrived: UnsafeMutablePointer<pthread_cond_t>
  /// What no thread has taken yet, oldest first.
  private var jobs = Deque<Job>()
  private var threads = 0
  /// How many of the threads wait for a job.
  private var idle = 0

  init(limit: Int, patience: Int = 10) {
    self.limit = limit
    self.patience = patience
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

  deinit {
    // Every thread holds a reference to this object, so that none can be using these any more.
    unsafe pthread_cond_destroy(jobArrived)
    unsafe pthread_mutex_destroy(lock)
    unsafe jobArrived.deallocate()
    unsafe lock.deallocate()
  }

  /// Queues a job; jobs begin in order. Throws only when not a single thread can be made for it.
  func submit(_ job: @escaping @Sendable () -> Void) throws(IOError) {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe pthread_mutex_unlock(lock) }
    jobs.append(job)
    if idle >= jobs.count {
      unsafe pthread_cond_signal(jobArrived)
    } else if threads < limit {
      let code = startThread()
      if code == 0 {
        threads += 1
      } else if threads == 0 {
        jobs.removeLast()
        throw IOError(Errno(rawValue: code), "pthread_create")
      }
    }
  }

  private func startThread() -> Int32 {
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    // Signals belong to the threads that ask for them, not to ours.
    var all = sigset_t()
    var previous = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &previous)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
    var thread = pthread_t()
    let owner = unsafe Unmanaged.passRetained(self)
    let code = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        // Takes over the reference that the thread's maker retained for it.
        unsafe Unmanaged<WorkerThreads>.fromOpaque(argument!).takeRetainedValue().work()
        return nil
      }, owner.toOpaque())
    if code != 0 { unsafe owner.release() }
    return code
  }

  private func work() {
    unsafe pthread_mutex_lock(lock)
    while true {
      if let job = jobs.popFirst() {
        unsafe pthread_mutex_unlock(lock)
        job()
        unsafe pthread_mutex_lock(lock)
        continue
      }
      var deadline = timespec()
      unsafe clock_gettime(CLOCK_MONOTONIC, &deadline)
      deadline.tv_sec += patience
      idle += 1
      let code = unsafe pthread_cond_timedwait(jobArrived, lock, &deadline)
      idle -= 1
      if code == ETIMEDOUT, jobs.isEmpty { break }
    }
    threads -= 1
    unsafe pthread_mutex_unlock(lock)
  }
}
