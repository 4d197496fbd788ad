// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import Glibc

  extension Signal {
    /// A coprocessor's stack fault; nothing sends it (`SIGSTKFLT`).
    public static var stackFault: Signal { Signal(rawValue: SIGSTKFLT) }
    /// The power is about to fail (`SIGPWR`).
    public static var powerFailure: Signal { Signal(rawValue: SIGPWR) }

    /// A real-time signal, counted from zero (`SIGRTMIN + number`). The kernel queues these, so that each that was sent
    /// arrives; of any other, those that were sent before the first arrived are one.
    ///
    /// - Parameter number: 0 to 30 on Linux. Another one is a programmer error.
    public static func realTime(_ number: Int) -> Signal {
      let numbers = realTimeNumbers
      require((0..<numbers.count).contains(number), "Signal.realTime(\(number)): there are \(numbers.count)")
      return Signal(rawValue: numbers.lowerBound + Int32(number))
    }

    /// The numbers of the real-time signals that programs may use: the C library keeps two for itself.
    static var realTimeNumbers: ClosedRange<Int32> { __libc_current_sigrtmin()...__libc_current_sigrtmax() }
  }
#endif
