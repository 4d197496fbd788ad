// SPDX-License-Identifier: Apache-2.0

/// A task of a loop as other threads may see it. Get it from ``LoopTask/remote``, and pass it anywhere.
public struct RemoteTask<Success>: Sendable {
  private let native: Task<Void, Never>?
  private let reference: Reference

  /// Keeps the task, which is the loop's to release.
  private final class Reference: Sendable {
    let task: LoopBound<LoopTask<Success>>
    let door: JobDoor

    init(_ task: LoopTask<Success>, _ door: JobDoor) {
      self.task = LoopBound(task)
      self.door = door
    }

    deinit {
      let task = task
      door.perform { withExtendedLifetime(task) {} }
    }
  }

  init(_ task: LoopTask<Success>, _ native: Task<Void, Never>?, _ door: JobDoor) {
    self.native = native
    reference = Reference(task, door)
  }

  /// Cancels the task, from any thread. asyncio's `loop.call_soon_threadsafe(task.cancel)`.
  public func cancel() { native?.cancel() }
}

extension RemoteTask where Success: Sendable {
  /// Awaits the task's outcome, from any thread or actor. Cancelling who awaits it cancels the task.
  ///
  /// - Throws: the task's error; ``EventLoopError`` `.closed` when its loop is closed before it has ended.
  public var value: Success {
    get async throws {
      let task = reference.task
      let remote = RemoteLoop(reference.door.mailbox)
      return try await remote.run { _ in try await task.value.value }
    }
  }
}
