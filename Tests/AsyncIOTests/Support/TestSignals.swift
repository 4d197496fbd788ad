// SPDX-License-Identifier: Apache-2.0
import Glibc

@testable import AsyncIO

/// Signals are the whole process's, and tests run side by side: each test has real-time signals of its own.
extension Signal {
  /// A real-time signal that does nothing as long as nobody handles it. It would end the process.
  static func test(_ number: Int) -> Signal {
    let signal = Signal.realTime(number)
    Glibc.signal(signal.rawValue, SIG_IGN)
    return signal
  }

  /// Sends it to the process; the kernel picks the thread.
  func sendToProcess() { Glibc.kill(getpid(), rawValue) }

  /// Sends it to the calling thread, which has handled it when this returns.
  func sendToThread() { Signal.admitted([self]) { _ = pthread_kill(pthread_self(), rawValue) } }

  /// Sends signals to the calling thread at once, so that the kernel chooses the order in which they are delivered. They
  /// have been when this returns.
  static func sendTogether(_ signals: [Signal]) {
    masked(SIG_BLOCK, signals) {
      for signal in signals { pthread_kill(pthread_self(), signal.rawValue) }
      admitted(signals) {}
    }
  }

  /// Has the calling thread take signals while the body runs: libdispatch's threads, on which tests run, and those that
  /// they start, hold them back.
  static func admitted<R>(_ signals: [Signal], _ body: () throws -> R) rethrows -> R {
    try masked(SIG_UNBLOCK, signals, body)
  }

  private static func masked<R>(_ how: Int32, _ signals: [Signal], _ body: () throws -> R) rethrows -> R {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal.rawValue) }
    var former = sigset_t()
    pthread_sigmask(how, &set, &former)
    defer { pthread_sigmask(SIG_SETMASK, &former, nil) }
    return try body()
  }

  /// What the process does on it: the handler's address, the flags but for one of the C library's own, and the signals
  /// held back meanwhile.
  var disposition: Disposition {
    var action = sigaction()
    sigaction(rawValue, nil, &action)
    let held = (1...64).filter { sigismember(&action.sa_mask, Int32($0)) == 1 }
    return Disposition(
      handler: unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self),
      flags: action.sa_flags & ~0x0400_0000,
      held: held.map(Int32.init))
  }

  struct Disposition: Equatable {
    var handler: UInt
    var flags: Int32
    var held: [Int32]

    static let ignored = UInt(1)
  }
}
