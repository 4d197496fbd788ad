// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Foundation
import Glibc
import Synchronization
import Testing

@testable import AsyncIO

/// A door that is shut until it is opened for good.
final class Gate: Sendable {
  private let group = DispatchGroup()
  private let isOpen = Atomic(false)

  init() { group.enter() }

  // A group that is still entered must not go.
  deinit { open() }

  /// Blocks the thread until the gate is open.
  func pass() { group.wait() }

  func open() {
    if !isOpen.exchange(true, ordering: .acquiringAndReleasing) { group.leave() }
  }
}

/// Blocks the thread until the condition holds; fails the test when that takes more than 20 seconds.
func eventually(
  _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool
) throws {
  let deadline = ContinuousClock.now + .seconds(20)
  while !condition() {
    guard ContinuousClock.now < deadline else {
      Issue.record(comment ?? "a condition did not come true", sourceLocation: sourceLocation)
      throw ConditionTimedOut()
    }
    sched_yield()
  }
}

/// Blocks the thread until the semaphore is signalled; fails the test when that takes more than 20 seconds.
func arrives(_ semaphore: DispatchSemaphore, sourceLocation: SourceLocation = #_sourceLocation) throws {
  guard semaphore.wait(timeout: .now() + 20) == .success else {
    Issue.record("a signal did not come", sourceLocation: sourceLocation)
    throw ConditionTimedOut()
  }
}

extension ThreadPoolExecutor {
  /// A pool whose idle threads go at once, or one that the system refuses threads.
  convenience init(
    maxWorkers: Int, threadNamePrefix: String = "test", patience: Int,
    refusal: @escaping @Sendable () -> Errno? = { nil }
  ) {
    self.init(
      WorkerThreads.Options(limit: maxWorkers, name: threadNamePrefix, patience: patience, refusal: refusal))
  }
}

/// The name of the calling thread, as the system shows it.
func threadName() -> String {
  let name = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
  return String(name?.dropLast() ?? "")
}
