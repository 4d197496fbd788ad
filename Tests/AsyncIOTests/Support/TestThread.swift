// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Foundation
import Synchronization

@testable import AsyncIO

/// A thread of the test's own. Work that has to go on while a test blocks must not sit on the few threads that Swift
/// runs tests and detached tasks on.
final class TestThread: Sendable {
  private let group = DispatchGroup()

  init(_ body: @escaping @Sendable () -> Void) {
    group.enter()
    Thread { [group] in
      body()
      group.leave()
    }.start()
  }

  /// Blocks until the thread has ended.
  func join() { group.wait() }

  /// Waits for the thread's end without blocking.
  func ended() async {
    await withCheckedContinuation { continuation in
      group.notify(queue: .global()) { continuation.resume() }
    }
  }
}

/// A loop that runs on a thread of its own, for tests that look at it from outside.
final class LoopThread: Sendable {
  let remote: RemoteLoop
  let kernel = TestKernel()
  private let thread: TestThread

  /// Returns once the loop runs.
  init(_ setUp: @escaping @Sendable (EventLoop) -> Void = { _ in }) {
    CapturedLog.install()
    let started = OneShot<RemoteLoop>()
    thread = TestThread { [kernel] in
      guard let loop = try? EventLoop(kernel: kernel) else { fatalError("no loop could be made") }
      setUp(loop)
      loop.callSoon { started.set(loop.remote) }
      try? loop.runForever()
      loop.close()
    }
    remote = started.wait()
  }

  /// Stops and closes the loop, and waits for its thread.
  func end() async {
    try? remote.stop()
    await thread.ended()
  }

  func join() {
    try? remote.stop()
    thread.join()
  }
}

/// A value that one thread sets and others wait for.
final class OneShot<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let isSet = DispatchGroup()

  init() { isSet.enter() }

  // A group that is still entered must not go.
  deinit { if current == nil { isSet.leave() } }

  func set(_ value: Value) {
    self.value.withLock { $0 = value }
    isSet.leave()
  }

  /// Blocks the thread until it is set: only for what a thread of its own will set.
  func wait() -> Value {
    isSet.wait()
    return value.withLock { $0! }
  }

  /// Waits until it is set without blocking the thread, which whoever sets it may need.
  func arrived() async -> Value {
    await withCheckedContinuation { continuation in
      isSet.notify(queue: .global()) { continuation.resume() }
    }
    return wait()
  }

  var current: Value? { value.withLock { $0 } }
}

/// Objects to count: how many were let go of.
final class ReleaseProbe {
  private let onRelease: () -> Void
  init(_ onRelease: @escaping () -> Void) { self.onRelease = onRelease }
  deinit { onRelease() }
  /// For closures that shall capture the probe.
  func touch() {}
}

/// A value to share and change, also inside an expectation.
final class Boxed<Value: ~Copyable> {
  var value: Value
  init(_ value: consuming Value) { self.value = value }
}

/// A value that several threads share.
final class Shared<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>

  init(_ value: Value) { mutex = Mutex(value) }

  func withLock<R: Sendable>(_ body: (inout Value) -> R) -> R { mutex.withLock { body(&$0) } }

  var current: Value { withLock { $0 } }
}
