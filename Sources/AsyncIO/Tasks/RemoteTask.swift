// SPDX-License-Identifier: Apache-2.0

/// A task of a loop as other threads may see it. Get it from ``LoopTask/remote``, and pass it anywhere.
public struct RemoteTask<Success>: Sendable {
  private let native: Task<Void, any Error>?
  private let reference: LoopReference<LoopTask<Success>>

  init(_ task: LoopTask<Success>, _ native: Task<Void, any Error>?, _ door: JobDoor) {
    self.native = native
    reference = LoopReference(task, door)
  }

  /// Cancels the task, from any thread. asyncio's `loop.call_soon_threadsafe(task.cancel)`.
  public func cancel() {
    // At once, so that the task sees it even while it does not wait.
    native?.cancel()
    let reference = reference
    reference.door.runOnLoop { reference.object.interrupt() }
  }
}

extension RemoteTask where Success: Sendable {
  /// Awaits the task's outcome, from any thread or actor. Cancelling who awaits it cancels the task.
  ///
  /// - Throws: the task's error; ``EventLoopError`` `.closed` when its loop is closed before it has ended.
  public var value: Success {
    get async throws {
      let reference = reference
      let remote = RemoteLoop(reference.door.mailbox)
      return try await remote.run { _ in try await reference.object.value }
    }
  }
}
