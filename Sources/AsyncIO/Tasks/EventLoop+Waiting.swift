// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Suspends the calling task until the waiter is resumed. `begin` arranges for that, and may resume at once.
  ///
  /// A task that is isolated to an actor may go through other executors on its way to `begin` and on its way back, and other
  /// code runs meanwhile. So what is waited for has to be looked at in `begin`, which runs in one go with the suspension, and
  /// once more after the return.
  ///
  /// When the task is cancelled, the waiter's `onCancel` undoes the arrangement, on the loop's thread, and the call
  /// throws `CancellationError`. A task of the loop's own only notes here what it waits for, since `LoopTask.cancel` looks there.
  /// Children that it makes by `async let`, and tasks from elsewhere, are cancelled by Swift alone: they have a cancellation
  /// handler for each wait.
  @inline(__always)
  func wait(_ method: StaticString, _ begin: (Waiter) -> Void) async throws {
    let owner = try ownerOfWait(method)
    let waiter = Waiter(method)
    if let owner {
      try await waiter.suspend(for: owner) { begin(waiter) }
    } else {
      try await suspendForeigner(waiter) { begin(waiter) }
    }
  }

  /// The same in a task that no cancellation is to keep from what it waits for.
  func waitRegardless(_ begin: (Waiter) -> Void) async {
    let waiter = Waiter("a wait that cannot be cancelled")
    let owner = NativeTask.current.flatMap { tasks.context($0.identity) }
    try? await waiter.suspend(for: owner, as: owner.map { _ in UncancellableWait(waiter) }) { begin(waiter) }
  }

  /// Who is going to wait, since it calls this: a task of the loop's or a part of one, which passes a cancellation on by itself;
  /// nil for others.
  ///
  /// - Throws: `CancellationError` when it is cancelled already; ``EventLoopError`` `.closed`.
  func ownerOfWait(_ method: StaticString) throws -> (any TaskContext)? {
    try checkOpen(method)
    guard let current = NativeTask.current else { return nil }
    if current.isCancelled { throw CancellationError() }
    return tasks.context(current.identity)
  }

  /// Suspends a task that is not the loop's own.
  func suspendForeigner(_ waiter: Waiter, _ begin: () -> Void) async throws {
    try await whileForeigner(waiter) { try await waiter.suspend(for: nil, begin) }
  }

  /// Has the suspension of a task that is not the loop's own told of a cancellation.
  @inline(__always)
  func whileForeigner<Result>(_ suspension: Suspension, _ suspend: () async throws -> Result) async throws -> Result {
    let cancellable = LoopBound(suspension)
    let door = taskExecutor.door
    return try await withTaskCancellationHandler {
      try await suspend()
    } onCancel: {
      // Whoever cancels may be on any thread; the waiter is the loop's.
      door.runOnLoop { cancellable.value.cancel() }
    }
  }

  /// What a native task stands for. It may be one of another loop of this thread, where loops have their turns on one thread.
  func context(of native: NativeTask) -> (any TaskContext)? {
    tasks.context(native.identity) ?? EventLoop.running?.tasks.context(native.identity)
  }

  /// Suspends the calling task, which is not the loop's own, until the other one has ended. That one is cancelled when the
  /// caller is.
  ///
  /// - Returns: whether it was, before it had ended.
  func waitForEnd(of task: any Cancellable, _ native: Task<Void, any Error>) async -> Bool {
    let link = CancellationLink(task)
    let cancellable = LoopBound(link)
    let door = taskExecutor.door
    await withTaskCancellationHandler {
      _ = await native.result
    } onCancel: {
      door.runOnLoop { cancellable.value.cancel() }
    }
    return link.wasCancelled
  }

  /// Suspends the task until a socket of the program's is ready.
  ///
  /// Throws when it is closed, detached or handed over meanwhile, be it between its readiness and the task's turn.
  func waitUntilReady(_ socket: Socket, for interest: Interest, _ method: StaticString) async throws {
    let descriptor = socket.descriptor
    try await wait(method) { waiter in
      do {
        try socket.checkAfterWait(method)
        let watcher = try ensureProgramWatcher(of: descriptor, method)
        try watcher.setWaiter(waiter, interest)
        socket.addWait(waiter, method)
      } catch let error as Errno {
        release(descriptor)
        waiter.resume(.failure(IOError(error, method.description, "descriptor \(descriptor.rawValue)")))
      } catch {
        waiter.resume(.failure(error))
      }
    }
    try socket.checkAfterWait(method)
  }
}

extension Waiter: Wakeable {
  func wake() { resume() }
}

/// Is there for those who ask what a task waits for, and leaves the wait alone when the task is cancelled.
private final class UncancellableWait: DescribedAwait {
  private let waiter: Waiter

  init(_ waiter: Waiter) { self.waiter = waiter }

  var awaitedThing: AwaitedThing { waiter.awaitedThing }

  func cancel() -> Bool { false }
}

/// Passes the cancellation of a task on to one that it awaits, and remembers it.
private final class CancellationLink {
  private let task: any Cancellable
  private(set) var wasCancelled = false

  init(_ task: any Cancellable) { self.task = task }

  func cancel() {
    if task.cancel() { wasCancelled = true }
  }
}
