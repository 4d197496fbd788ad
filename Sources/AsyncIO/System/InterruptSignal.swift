// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Glibc
import Synchronization
import SystemPackage

/// SIGINT, caught for a while: the first one is counted on a descriptor, the second ends the process at once.
enum InterruptSignal {
  /// The counter's descriptor; -1 while nobody listens. Atomic, since the handler reads it at any moment.
  private static let counter = Atomic<Int32>(-1)
  private static let caught = Atomic<Int>(0)
  /// What SIGINT did before. Only the main thread's `begin` and `end` touch it.
  nonisolated(unsafe) private static var previous = sigaction()

  /// Starts to catch, unless the program has a handler of its own (or ignores the signal): that one stays.
  static func begin(countingOn descriptor: FileDescriptor) -> Bool {
    guard unsafe sigaction(SIGINT, nil, &previous) == 0, unsafe previous.__sigaction_handler.sa_handler == nil else {
      return false
    }
    counter.store(descriptor.rawValue, ordering: .releasing)
    caught.store(0, ordering: .releasing)
    var action = sigaction()
    // Only calls that are safe in a signal handler: atomics that exist already, a write, a raise.
    unsafe action.__sigaction_handler.sa_handler = { _ in
      if InterruptSignal.caught.add(1, ordering: .relaxed).oldValue == 0 {
        let saved = errno
        _ = casyncio_counter_add(InterruptSignal.counter.load(ordering: .relaxed))
        errno = saved
      } else {
        signal(SIGINT, SIG_DFL)
        raise(SIGINT)
      }
    }
    action.sa_flags = SA_RESTART
    return unsafe sigaction(SIGINT, &action, nil) == 0
  }

  /// Puts back what was there before.
  static func end() {
    unsafe sigaction(SIGINT, &previous, nil)
    counter.store(-1, ordering: .releasing)
  }
}
