// SPDX-License-Identifier: Apache-2.0

/// A task of a loop as other threads may see it. Get it from ``LoopTask/remote``, and pass it anywhere.
public struct RemoteTask<Success>: Sendable {
  private let native: Task<Void, Never>?
  private let reference: Reference

  /// Keeps the task, which is the loop's to release, wherever the last copy goes.
  private final class Reference: Sendable {
    private let kept: LoopBound<Kept>
    let door: JobDoor

    init(_ task: LoopTask<Success>, _ door: JobDoor) {
      kept = LoopBound(Kept(task))
      self.door = door
    }

    /// The task; for the loop's thread only.
    var task: LoopTask<Success> {
      guard let task = kept.value.task else {
        misuse("a task was let go of while others could see it")
      }
      return task
    }

    deinit {
      let kept = kept
      // The task is released there, by emptying its holder. This thread may be the last to release the holder: it is empty then.
      door.perform { kept.value.task = nil }
    }
  }

  private final class Kept {
    var task: LoopTask<Success>?
    init(_ task: LoopTask<Success>) { self.task = task }
  }

  init(_ task: LoopTask<Success>, _ native: Task<Void, Never>?, _ door: JobDoor) {
    self.native = native
    reference = Reference(task, door)
  }

  /// Cancels the task, from any thread. asyncio's `loop.call_soon_threadsafe(task.cancel)`.
  public func cancel() {
    // At once, so that the task sees it even while it does not wait.
    native?.cancel()
    let reference = reference
    reference.door.perform { reference.task.interrupt() }
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
      return try await remote.run { _ in try await reference.task.value }
    }
  }
}
