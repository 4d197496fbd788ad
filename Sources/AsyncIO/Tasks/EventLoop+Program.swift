// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs a program on a fresh loop. asyncio's `run`.
  ///
  /// When the body has ended, all tasks that are left are cancelled and awaited, the default executor is shut down, and
  /// the loop is closed. On the main thread the loop adopts the process, so that `MainActor` and every plain `Task` run
  /// on it; not where an async `main` or a test's task called this, since the process is theirs then, and only `MainActor`
  /// is adopted.
  ///
  /// On the main thread SIGINT and SIGTERM cancel the body, which is awaited; then the process ends by the signal. See
  /// ``Configuration/TerminationSignals``.
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
  ///   `.stoppedBeforeComplete` when the body's loop was stopped, `.interrupted` when a signal cancelled it and the
  ///   configuration says so.
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
    if isOnMain, configuration.adoption != .none {
      // Where a task calls this, what Swift's tasks run on is another's to say.
      let adoptsEverything = configuration.adoption == .all && NativeTask.current == nil
      LoopAdoption.adopt(everything: adoptsEverything, runHidden: EventLoop.runHidden)
    }
    return try loop.runMain(
      terminationSignals: isOnMain ? configuration.terminationSignals : .unhandled,
      executorShutdownTimeout: configuration.executorShutdownTimeout, body)
  }

  /// Runs a whole program, and ends the process. What stands at the top level of a program's main file.
  ///
  /// As ``run(_:isolation:_:)``, and then the process exits: with status 0 when the body returns, with 1 and one sentence on
  /// standard error when it throws.
  ///
  /// - Parameters:
  ///   - configuration: how to set up the loop and the process.
  ///   - isolation: the actor that the caller is isolated to; leave it to the compiler.
  ///   - body: the program.
  @available(*, noasync, message: "EventLoop.main blocks the thread; async functions have EventLoop.runOnThread")
  public static func main(
    _ configuration: Configuration = Configuration(), isolation: (any Actor)? = #isolation,
    _ body: @escaping (EventLoop) async throws -> Void
  ) -> Never {
    do { try run(configuration, isolation: isolation, body) } catch { ProcessExit.fail(error) }
    ProcessExit.succeed()
  }

  /// Runs the body, then whatever it takes to leave nothing behind, and closes the loop.
  ///
  /// - Parameters:
  ///   - terminationSignals: as the configuration has it.
  ///   - executorShutdownTimeout: as the configuration has it.
  ///   - onStart: handed the body's task before that begins.
  ///   - body: the program.
  package func runMain<R>(
    terminationSignals: Configuration.TerminationSignals = .unhandled,
    executorShutdownTimeout: Duration? = Configuration().executorShutdownTimeout,
    onStart: (LoopTask<R>) -> Void = { _ in }, _ body: @escaping (EventLoop) async throws -> R
  ) throws -> R {
    let main = createTask(name: "main") { [unowned self] in try await body(self) }
    onStart(main)
    var signal: Signal?
    // The body, and after it the wait for the default executor.
    var cancellable: any AnyLoopTask = main
    if terminationSignals != .unhandled {
      onTermination {
        signal = $0
        cancellable.cancel()
      }
    }
    let result = Result { try runUntilComplete(main) }
    cancelAllTasks()
    awaitDefaultExecutor(executorShutdownTimeout) { cancellable = $0 }
    leaveTermination()
    close()
    if let signal, case .failure(is CancellationError) = result {
      if terminationSignals == .endProcess { ProcessExit.end(by: signal) }
      throw EventLoopError(.interrupted, "interrupted by \(signal)")
    }
    return try result.get()
  }

  /// Cancels every task of the loop, and runs until they have ended.
  private func cancelAllTasks() {
    // A task may begin others on its way out. Those run on until all that were cancelled in this round have ended; the next
    // round cancels them.
    while !tasks.isEmpty {
      let left = tasks.running
      var awaited = Set(left.map(ObjectIdentifier.init))
      onTaskEnd = { [unowned self] record in
        awaited.remove(ObjectIdentifier(record))
        if awaited.isEmpty { stop() }
      }
      for record in left { record.cancel() }
      // A task that stops the loop on its way out must not keep the others from theirs.
      while !awaited.isEmpty {
        do { try runForever() } catch { return }
      }
    }
    onTaskEnd = nil
  }

  /// Waits for work that the default executor still has. A signal that is to end the program ends that.
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
