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
    try checkOpen(method)
    guard let current = NativeTask.current, let context = core.tasks.context(current.identity) else {
      try await waitAsForeigner(method, begin)
      return
    }
    if current.isCancelled { throw CancellationError() }
    let waiter = Waiter(method)
    context.awaited = waiter
    defer { context.awaited = nil }
    try await waiter.suspend { begin(waiter) }
  }

  /// The same in a task that no cancellation is to keep from what it waits for.
  func waitRegardless(_ begin: (Waiter) -> Void) async {
    let waiter = Waiter("a wait that cannot be cancelled")
    let context = NativeTask.current.flatMap { core.tasks.context($0.identity) }
    context?.awaited = UncancellableWait(waiter)
    defer { context?.awaited = nil }
    try? await waiter.suspend { begin(waiter) }
  }

  private func waitAsForeigner(_ method: StaticString, _ begin: (Waiter) -> Void) async throws {
    try Task.checkCancellation()
    let waiter = Waiter(method)
    let cancellable = LoopBound(waiter)
    let door = taskExecutor.door
    try await withTaskCancellationHandler {
      try await waiter.suspend { begin(waiter) }
    } onCancel: {
      // Whoever cancels may be on any thread; the waiter is the loop's.
      door.perform { cancellable.value.cancel() }
    }
  }

  /// Suspends the calling task until the other one has ended, which is cancelled when the caller is.
  ///
  /// - Returns: whether it was, before it had ended.
  func waitForEnd(of task: any Cancellable, _ native: Task<Void, Never>) async -> Bool {
    let link = CancellationLink(task)
    // A task of another loop of this thread can await one of this loop's, where loops have their turns on one thread.
    if let current = NativeTask.current,
      let caller = core.tasks.context(current.identity) ?? EventLoop.running?.core.tasks.context(current.identity)
    {
      if current.isCancelled { link.cancel() }
      caller.awaited = link
      await native.value
      caller.awaited = nil
    } else {
      let cancellable = LoopBound(link)
      let door = taskExecutor.door
      await withTaskCancellationHandler {
        await native.value
      } onCancel: {
        door.perform { cancellable.value.cancel() }
      }
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

/// Is there for those who ask what a task waits for, and leaves the wait alone when the task is cancelled.
private final class UncancellableWait: Cancellable {
  private let waiter: Waiter

  init(_ waiter: Waiter) { self.waiter = waiter }

  var awaitedThing: AwaitedThing { waiter.awaitedThing }

  func cancel() -> Bool { false }
}

/// Passes the cancellation of a task on to one that it awaits, and remembers it.
private final class CancellationLink: Cancellable {
  private let task: any Cancellable
  private(set) var wasCancelled = false

  init(_ task: any Cancellable) { self.task = task }

  var awaitedThing: AwaitedThing { task.awaitedThing }

  @discardableResult
  func cancel() -> Bool {
    guard task.cancel() else { return false }
    wasCancelled = true
    return true
  }
}
