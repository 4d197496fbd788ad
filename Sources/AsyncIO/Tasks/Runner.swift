// SPDX-License-Identifier: Apache-2.0
extension EventLoop {
  /// How ``EventLoop/run(_:isolation:_:)`` sets up a loop and the process around it.
  public struct Configuration: Sendable {
    /// Which parts of Swift's concurrency run on the main thread's loop.
    public enum Adoption: Int, Comparable, Sendable {
      /// Nothing is replaced. `MainActor` still runs on the main thread, by way of libdispatch's main queue.
      case none
      /// `MainActor` alone; unstructured tasks and default actors stay on Swift's own threads.
      case mainActor
      /// `MainActor`, unstructured tasks and default actors: one program, one thread.
      case all

      /// The more is adopted, the greater.
      public static func < (a: Adoption, b: Adoption) -> Bool { a.rawValue < b.rawValue }
    }

    /// Which parts of the process the loop adopts, when it runs on the main thread. The first adoption lasts as long
    /// as the process.
    public var adoption = Adoption.all
    /// Debug mode; nil leaves it to the environment variable `ASYNCIODEBUG`.
    public var debug: Bool?
    /// Whether the first SIGINT cancels the body, on the main thread, unless the program has a handler of its own. The
    /// second ends the process at once.
    public var handlesInterrupt = true
    /// How long the end of the run waits for work in the default executor; nil for as long as it takes, zero for not at
    /// all. What is left then is abandoned.
    public var executorShutdownTimeout: Duration? = .seconds(300)

    /// The usual configuration.
    public init() {}
  }

  /// Runs a program on a fresh loop. asyncio's `run`.
  ///
  /// When the body has ended, all tasks that are left are cancelled and awaited, the default executor is shut down, and
  /// the loop is closed. On the main thread the loop adopts the process, so that `MainActor` and every plain `Task` run
  /// on it; not where an async `main` or a test's task called this, since the process is theirs then, and only `MainActor`
  /// is adopted.
  ///
  /// It blocks the thread until the program has ended, and so is not for async functions: those have
  /// ``runOnThread(_:_:)``. In an actor's method it is a programmer error, since the body would wait for the actor, and the
  /// actor for the body.
  ///
  /// - Parameters:
  ///   - configuration: how to set up the loop and the process.
  ///   - isolation: the actor that the caller is isolated to; leave it to the compiler.
  ///   - body: the program.
  /// - Returns: what the body returns.
  /// - Throws: what the body throws; ``EventLoopError`` `.alreadyRunning` when a loop runs on this thread,
  ///   `.stoppedBeforeComplete` when the body's loop was stopped, `.interrupted` when SIGINT cancelled it.
  @available(*, noasync, message: "EventLoop.run blocks the thread; async functions have EventLoop.runOnThread")
  public static func run<R>(
    _ configuration: Configuration = Configuration(), isolation: (any Actor)? = #isolation,
    _ body: @escaping (EventLoop) async throws -> R
  ) throws -> R {
    guard running == nil else { throw EventLoopError.alreadyRunning }
    if let isolation, !(isolation is MainActor) {
      misuse(
        "EventLoop.run: called in \(type(of: isolation)), an actor that the body would wait for, and that waits for the body; "
          + "call it outside of actors, or EventLoop.runOnThread")
    }
    let loop = try EventLoop()
    if let debug = configuration.debug { loop.debug = debug }
    let isOnMain = LoopAdoption.isOnMain
    if isOnMain {
      let isProcessOurs = !CurrentTask.exists
      LoopAdoption.adopt(isProcessOurs ? configuration.adoption : min(configuration.adoption, .mainActor))
    }
    return try loop.runMain(
      handlesInterrupt: configuration.handlesInterrupt && isOnMain,
      executorShutdownTimeout: configuration.executorShutdownTimeout, body)
  }

  /// Runs the body, then whatever it takes to leave nothing behind, and closes the loop.
  ///
  /// - Parameters:
  ///   - handlesInterrupt: whether SIGINT cancels the body.
  ///   - executorShutdownTimeout: as the configuration has it.
  ///   - onStart: handed the body's task before that begins.
  ///   - body: the program.
  package func runMain<R>(
    handlesInterrupt: Bool, executorShutdownTimeout: Duration? = Configuration().executorShutdownTimeout,
    onStart: (LoopTask<R>) -> Void = { _ in }, _ body: @escaping (EventLoop) async throws -> R
  ) throws -> R {
    let main = createTask(name: "main") { [unowned self] in try await body(self) }
    onStart(main)
    var wasInterrupted = false
    // The body, and after it the wait for the default executor.
    var interruptible: any AnyLoopTask = main
    let catchesInterrupt =
      handlesInterrupt
      && onInterrupt {
        wasInterrupted = true
        interruptible.cancel()
      }
    defer {
      cancelAllTasks()
      awaitDefaultExecutor(executorShutdownTimeout) { interruptible = $0 }
      if catchesInterrupt { ignoreInterrupt() }
      close()
    }
    do {
      return try runUntilComplete(main)
    } catch is CancellationError where wasInterrupted {
      throw EventLoopError.interrupted
    }
  }

  /// Cancels every task of the loop, and runs until they have ended.
  private func cancelAllTasks() {
    // A task may begin others on its way out. They have until it ends, and are then what is left in the next round.
    while !core.tasks.isEmpty {
      let left = core.tasks.running
      var awaited = Set(left.map(ObjectIdentifier.init))
      core.onTaskEnd = { [unowned self] record in
        awaited.remove(ObjectIdentifier(record))
        if awaited.isEmpty { stop() }
      }
      for record in left { record.cancel() }
      // A task that stops the loop on its way out must not keep the others from theirs.
      while !awaited.isEmpty {
        do { try runForever() } catch { return }
      }
    }
    core.onTaskEnd = nil
  }

  /// Waits for work that the default executor still has. SIGINT ends that.
  private func awaitDefaultExecutor(_ timeout: Duration?, _ willWait: (any AnyLoopTask) -> Void) {
    if defaultExecutor == nil || timeout == .zero { return }
    let shutdown = createTask { [unowned self] in try await shutdownDefaultExecutor(timeout: timeout) }
    willWait(shutdown)
    while !shutdown.isDone {
      // A callback that stops the loop must not cut it short.
      do { try runUntilComplete(shutdown) } catch EventLoopError.stoppedBeforeComplete { continue } catch { return }
    }
  }
}
