// SPDX-License-Identifier: Apache-2.0
import CAsyncIO
import Synchronization

/// The end of the process that we run in.
enum ProcessExit {
  private static let handlers = Mutex<[@Sendable () -> Void]>([])

  /// Has the closure called when the process ends by `exit`, by the end of its main program, or by ``end(by:)``.
  static func addHandler(_ handler: @escaping @Sendable () -> Void) {
    handlers.withLock { $0.append(handler) }
    registration
  }

  private static let registration: Void = { atexit { callHandlers() } }()

  private static func callHandlers() {
    // Without waiting for the lock: at the process's exit its holder may be a thread that never goes on.
    let called = handlers.withLockIfAvailable { handlers in
      let all = handlers
      handlers.removeAll()
      return all
    }
    for handler in called ?? [] { handler() }
  }

  /// Ends the process by a signal, as if nobody handled it: whoever waits for the process is told that it was the signal,
  /// and a shell stops what it would have run next.
  static func end(by signal: Signal) -> Never {
    callHandlers()
    // What a program has printed is in memory, where a signal would leave it.
    fflush(nil)
    casyncio_reset_signal(signal.rawValue)
    casyncio_unblock_signal(signal.rawValue)
    raise(signal.rawValue)
    // The first process of a container gets no signal that it does not handle: a shell's number for it has to do.
    exit(128 + signal.rawValue)
  }

  /// Ends the process because of an error that nobody caught: one sentence, and status 1.
  static func fail(_ error: any Error) -> Never {
    let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "error"
    let sentence = Array("\(name): \(error)\n".utf8)
    fflush(nil)
    // To say it is all that can be done.
    _ = unsafe sentence.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(1)
  }

  /// Ends the process as a program that did what it should.
  static func succeed() -> Never { exit(0) }
}
