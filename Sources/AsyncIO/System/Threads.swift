// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Dispatch
import Glibc
import Synchronization
import SystemPackage

/// The identity of a thread, for as long as it lives.
struct ThreadIdentity: Equatable, Sendable {
  /// Never zero: zero stands for "no thread" where an identity is stored in an atomic.
  let number: UInt

  static var current: ThreadIdentity { ThreadIdentity(number: UInt(pthread_self())) }

  /// Whether this is the thread that the process began with.
  static var isMain: Bool { casyncio_is_main_thread() != 0 }
}

/// A variable that each thread has a value of its own of. The value is not retained: who sets it keeps it alive.
@safe
struct ThreadLocal<Value: AnyObject>: Sendable {
  private let key: pthread_key_t

  init() {
    var key = pthread_key_t()
    let code = unsafe pthread_key_create(&key, nil)
    require(code == 0, "no thread-specific key is left in this process")
    self.key = key
  }

  var value: Value? {
    get {
      // Whoever stored the pointer promised to clear it before the object goes.
      unsafe pthread_getspecific(key).map { unsafe Unmanaged<Value>.fromOpaque($0).takeUnretainedValue() }
    }
    nonmutating set {
      _ = unsafe pthread_setspecific(
        key, newValue.map { unsafe UnsafeRawPointer(Unmanaged.passUnretained($0).toOpaque()) })
    }
  }
}

/// A value that belongs to one loop's thread, in a closure that the compiler wants to be able to send.
///
/// This is where we, not the compiler, vouch for the isolation: the closures that carry one are run by a loop on its
/// own thread only (a task prefers the loop's executor, a cancellation goes through the loop's queue). What a program can do
/// against that, by replacing the preference inside a task, the standard library lets it do to any actor's state as well.
package struct LoopBound<Value>: @unchecked Sendable {
  package let value: Value
  package init(_ value: Value) { self.value = value }
}

/// libdispatch's main queue, where `MainActor` and `DispatchQueue.main` send their work as long as nobody else serves
/// them. A loop on the main thread serves it, as CFRunLoop does.
enum MainDispatchQueue {
  /// Readable while the queue has work. It belongs to libdispatch; nil before ``open()``.
  static var descriptor: FileDescriptor? {
    isOpen.load(ordering: .acquiring) ? FileDescriptor(rawValue: _dispatch_get_main_queue_handle_4CF()) : nil
  }

  private static let isOpen = Atomic(false)

  /// Has libdispatch make the descriptor.
  ///
  /// It ends the process when there is none to be had. So we look first whether there is: on the main thread, on which
  /// a program starts, hardly anyone comes in between.
  static func open() throws(Errno) {
    if isOpen.load(ordering: .acquiring) { return }
    let likeIts = try systemCall { casyncio_counter() }
    _ = Glibc.close(likeIts)
    _ = _dispatch_get_main_queue_handle_4CF()
    isOpen.store(true, ordering: .releasing)
  }

  /// Whether the caller was called by the main queue, on whatever thread that runs.
  static var isCurrent: Bool { DispatchQueue.getSpecific(key: mark) ?? false }

  /// A mark that only the main queue bears.
  private static let mark = {
    let mark = DispatchSpecificKey<Bool>()
    DispatchQueue.main.setSpecific(key: mark, value: true)
    return mark
  }()

  /// Has the main queue run the closure.
  static func submit(after delay: Duration, _ work: @escaping @Sendable () -> Void) {
    let (seconds, attoseconds) = delay.components
    let nanoseconds = min(seconds, 1 << 32) * 1_000_000_000 + attoseconds / 1_000_000_000
    DispatchQueue.main.asyncAfter(deadline: .now() + .nanoseconds(Int(max(0, nanoseconds))), execute: work)
  }

  /// Runs what is queued. On the main thread only.
  static func drain() {
    _dispatch_main_queue_callback_4CF(nil)
  }
}
