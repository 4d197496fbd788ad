// SPDX-License-Identifier: Apache-2.0
#if os(Linux)
  import CAsyncIO

  /// What a process does on a signal: a `sigaction`.
  ///
  /// Sound: a value, and the functions that it points to are code, which does not go.
  @safe package struct SignalDisposition: @unchecked Sendable {
    var action: sigaction

    init(_ action: sigaction) { self.action = action }

    /// Delivery to a loop's queue.
    ///
    /// All signals wait while a handler runs, so that one thread's come in the order in which the kernel takes them.
    /// Calls that were interrupted begin anew where they can, and a thread's own signal stack is used where it has one.
    static let delivery = {
      var action = sigaction()
      unsafe action.__sigaction_handler.sa_handler = { SignalTable.signalArrived($0) }
      action.sa_flags = SA_RESTART | SA_ONSTACK
      unsafe sigfillset(&action.sa_mask)
      return SignalDisposition(action)
    }()

    private var handler: UInt { unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self) }

    /// Whether it is the system's own for the signal.
    var isDefault: Bool { handler == 0 }
    /// Whether it is ours.
    var isDelivery: Bool { handler == SignalDisposition.delivery.handler }
  }
#endif
