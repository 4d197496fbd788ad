// SPDX-License-Identifier: Apache-2.0
extension EventLoop {
  /// How ``EventLoop/run(_:_:)`` sets up a loop and the process around it.
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

    /// The usual configuration.
    public init() {}
  }

  /// Runs a program on a fresh loop. asyncio's `run`.
  ///
  /// When the body has ended, all tasks that are left are cancelled and awaited, and the loop is closed. On the main
  /// thread the loop adopts the process, so that `MainActor` and every plain `Task` run on it.
  ///
  /// - Returns: what the body returns.
  /// - Throws: what the body throws; ``EventLoopError`` `.alreadyRunning` when a loop runs on this thread,
  ///   `.stoppedBeforeComplete` when the body's loop was stopped, `.interrupted` when SIGINT cancelled it.
  public static func run<R>(
    _ configuration: Configuration = Configuration(), _ body: @escaping (EventLoop) async throws -> R
  ) throws -> R {
    guard running == nil else { throw EventLoopError.alreadyRunning }
    let loop = try EventLoop()
    if let debug = configuration.debug { loop.debug = debug }
    let isOnMain = LoopAdoption.isOnMain
    if isOnMain { LoopAdoption.adopt(configuration.adoption) }
    return try loop.runMain(handlesInterrupt: configuration.handlesInterrupt && isOnMain, body)
  }

  /// Runs the body, then whatever it takes to leave nothing behind, and closes the loop.
  package func runMain<R>(handlesInterrupt: Bool, _ body: @escaping (EventLoop) async throws -> R) throws -> R {
    let (task, outcome) = startTask { [unowned self] in try await body(self) }
    var wasInterrupted = false
    let catchesInterrupt =
      handlesInterrupt
      && onInterrupt {
        wasInterrupted = true
        task.cancel()
      }
    defer {
      cancelAllTasks()
      if catchesInterrupt { ignoreInterrupt() }
      close()
    }
    do {
      return try runUntilComplete(outcome)
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
}
