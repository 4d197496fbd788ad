// SPDX-License-Identifier: Apache-2.0
import Synchronization
@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency

// The only file that uses what the standard library does not promise yet: replacing the process's executors, and
// serving Task.sleep by our own timers.

/// Makes the main thread's loop the home of `MainActor`, of unstructured tasks and of default actors.
///
/// The runtime takes executors once and for the life of the process. So the adopted ones are objects that live as
/// long, and forward to the loop that runs on the main thread at the moment; without one, jobs wait for the next.
enum LoopAdoption {
  private struct State {
    var hasMainActor = false
    var hasEverything = false
    /// Runs a loop for the rest of an async `main`.
    var runHidden: (@Sendable () throws -> Void)?
    var door: JobDoor?
    /// What has come while no loop ran.
    var waiting: [LeftJob] = []
    /// Whether libdispatch serves the main queue on a thread of its own, as it does once an async `main` has suspended. Then
    /// jobs go there, and need not wait for a loop.
    var hasLostMainThread = false
  }

  private static let state = Mutex(State())

  /// Replaces the process's executors, as far as they are not ours yet.
  ///
  /// - Parameters:
  ///   - everything: whether unstructured tasks and default actors come along with `MainActor`.
  ///   - runHidden: runs a loop that does not count as the thread's, for the rest of an async `main`.
  static func adopt(everything: Bool, runHidden: @escaping @Sendable () throws -> Void) {
    let before = state.withLock { state in
      defer {
        state.hasMainActor = true
        state.hasEverything = state.hasEverything || everything
        state.runHidden = runHidden
      }
      return state
    }
    if everything, !before.hasEverything {
      _createExecutors(factory: AdoptedExecutors.self)
    } else if !before.hasMainActor {
      // Whoever is the first to ask for one of the runtime's executors has the runtime install all of its own, MainActor's too.
      // It is asked here, so that this cannot happen later and replace ours.
      _ = Task.defaultExecutor
      _createExecutors(factory: AdoptedMainActor.self)
    }
  }

  /// Sends the adopted executors' jobs to the main thread's loop, those that have waited first.
  ///
  /// - Returns: where they went before.
  static func bind(_ door: JobDoor) -> JobDoor? {
    let isOnMainThread = ThreadIdentity.isMain
    return state.withLock { state in
      if !isOnMainThread { state.hasLostMainThread = true }
      defer { state.door = door }
      for waiting in state.waiting {
        if let delay = waiting.delay {
          door.enqueue(waiting.job, on: waiting.executor, deadline: door.deadline(after: delay))
        } else {
          door.enqueue(waiting.job, on: waiting.executor)
        }
      }
      state.waiting.removeAll()
      return state.door
    }
  }

  /// Sends them where they went before.
  static func unbind(restoring door: JobDoor?) {
    state.withLock { $0.door = door }
  }

  /// Whether the caller is where `MainActor`'s work is done: on the main thread, or on the one that libdispatch runs
  /// the main queue on once an async `main` has suspended.
  static var isOnMain: Bool { ThreadIdentity.isMain || MainDispatchQueue.isCurrent }

  /// Takes over a job that a closed loop has not run. One of the loop's own executors is dropped, since nobody else may run
  /// it. A job that ends a sleep is kept only where everything was adopted: else the sleeper is a task of the closed loop.
  static func keep(_ left: LeftJob) {
    switch left.executor {
    case .task, .serial: return
    case .nobody where !state.withLock({ $0.hasEverything }): return
    case .adoptedMain, .adoptedDefault, .nobody: enqueue(left.job, on: left.executor, delay: left.delay)
    }
  }

  fileprivate static func enqueue(_ job: UnownedJob, on executor: JobExecutor, delay: Duration? = nil) {
    state.withLock { state in
      guard let door = state.door else {
        if state.hasLostMainThread {
          MainDispatchQueue.submit(after: delay ?? .zero) { run(job, executor) }
          return
        }
        state.waiting.append(LeftJob(job: job, executor: executor, delay: delay))
        return
      }
      if let delay {
        door.enqueue(job, on: executor, deadline: door.deadline(after: delay))
      } else {
        door.enqueue(job, on: executor)
      }
    }
  }

  /// Runs a job that does not belong to a certain loop.
  static func run(_ job: UnownedJob, _ executor: JobExecutor) {
    switch executor {
    case .adoptedMain: job.run(on: mainExecutor)
    case .adoptedDefault: job.run(on: defaultExecutor)
    case .nobody: job.runWithoutExecutor()
    case .task, .serial: misuse("a job of a loop's own executor can run on that loop only")
    }
  }

  /// Whether this thread runs the loop that the adopted executors forward to.
  fileprivate static var isOnBoundThread: Bool {
    // Without a loop it is wherever the main queue is served.
    state.withLock { $0.door }?.isOnLoopThread ?? isOnMain
  }

  fileprivate static let mainExecutor: any SerialExecutor = AdoptedMainExecutor()
  fileprivate static let defaultExecutor: any TaskExecutor = AdoptedDefaultExecutor()

  fileprivate static func runHidden() throws { try state.withLock { $0.runHidden }?() }
}

private struct AdoptedExecutors: ExecutorFactory {
  static var mainExecutor: any MainExecutor {
    // The property above holds one of ours, whatever its static type says.
    LoopAdoption.mainExecutor as! AdoptedMainExecutor
  }
  static var defaultExecutor: any TaskExecutor { LoopAdoption.defaultExecutor }
}

private struct AdoptedMainActor: ExecutorFactory {
  static var mainExecutor: any MainExecutor { AdoptedExecutors.mainExecutor }
  /// The one that was there before: the runtime asks while it is still in place.
  static var defaultExecutor: any TaskExecutor { Task.defaultExecutor }
}

private final class AdoptedMainExecutor: MainExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    LoopAdoption.enqueue(UnownedJob(job), on: .adoptedMain)
  }

  /// The runtime calls this at the first suspension of an async `main` that has called `EventLoop.run` before. The rest of
  /// that `main` is run by a hidden loop, which does not count as the thread's: it may call `EventLoop.run` again.
  func run() throws { try LoopAdoption.runHidden() }

  func stop() {
    misuse("MainActor's executor cannot be stopped")
  }

  var isMainExecutor: Bool { true }

  func isIsolatingCurrentContext() -> Bool? { LoopAdoption.isOnBoundThread }

  func checkIsolated() {
    require(LoopAdoption.isOnBoundThread, "this code belongs to MainActor, which runs on the main event loop")
  }
}

private final class AdoptedDefaultExecutor: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    LoopAdoption.enqueue(UnownedJob(job), on: .adoptedDefault)
  }
}

extension AdoptedDefaultExecutor: SchedulingExecutor {
  func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
  ) {
    enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
  }

  func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
  ) {
    LoopAdoption.enqueue(UnownedJob(job), on: .nobody, delay: delay.ordinary)
  }
}

extension LoopTaskExecutor: SchedulingExecutor {
  func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
  ) {
    enqueue(job, after: clock.now.duration(to: instant), tolerance: tolerance, clock: clock)
  }

  func enqueue<C: Clock>(
    _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
  ) {
    door.enqueue(UnownedJob(job), on: .nobody, deadline: door.deadline(after: delay.ordinary))
  }
}

extension DurationProtocol {
  /// The duration in real time. Clocks that sleep by way of an executor count in it; a clock that does not has to
  /// bring its own `sleep`.
  fileprivate var ordinary: Duration {
    guard let duration = self as? Duration else {
      misuse("a clock whose durations are \(Self.self) cannot sleep on an event loop")
    }
    return duration
  }
}
