// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Calls back for each signal of a kind that the process gets. asyncio's `add_signal_handler`.
  ///
  /// The handler is an ordinary callback, which may do whatever a callback may: it runs once for each signal that the
  /// kernel delivers, in the order of delivery, also when the loop was blocked in a poll. Signals that come while the
  /// loop does not run wait for its next run. Of a signal that is sent again before it was delivered the kernel makes
  /// one, unless it is a real-time signal. A second handler for the same signal replaces the first.
  ///
  /// Several loops of a process may handle different signals, each on its own thread. (Python's may do so on the main
  /// thread only.) What the process did on the signal before comes back with ``removeSignalHandler(_:)`` and when the
  /// loop is closed. ``EventLoop/run(_:isolation:_:)`` cancels its body on SIGINT and SIGTERM, for which a handler of yours
  /// takes precedence.
  ///
  /// Signals that a thread raises by what it does wrong, and could not go on from, are refused: `SIGSEGV`, `SIGBUS`,
  /// `SIGFPE`, `SIGILL` and `SIGTRAP`. A program that some other program started may find signals blocked, and then
  /// hears of none: the mask is the thread's own affair.
  ///
  /// - Parameters:
  ///   - signal: what to handle.
  ///   - file: where the call is, for debug mode.
  ///   - line: where the call is, for debug mode.
  ///   - handler: what to do. An error that it throws goes to the exception handler.
  /// - Returns: the handler's handle. Cancelling it has the next signal ignored, which also removes the handler.
  /// - Throws: ``EventLoopError`` `.invalidSignal` for a signal that nobody can handle, or a number that is none,
  ///   `.signalInUse` when another loop handles it, `.closed` on a closed loop; ``IOError`` when the system refuses.
  @discardableResult
  public func addSignalHandler(
    _ signal: Signal, file: StaticString = #fileID, line: UInt = #line, _ handler: @escaping () throws -> Void
  ) throws -> Handle {
    try checkOpen("addSignalHandler")
    guard signal.isHandleable else {
      throw EventLoopError(.invalidSignal, "addSignalHandler: \(signal) can't be handled")
    }
    let call = makeRepeated(file, line, handler)
    defer { discardEmptySignalHandlers() }
    do throws(Errno) {
      if try makeSignalHandlers().set(call, for: signal) { return Handle(call) }
    } catch {
      throw IOError(error, "addSignalHandler", signal.description)
    }
    throw EventLoopError(.signalInUse, "addSignalHandler: another loop of the process handles \(signal)")
  }

  /// Stops handling a signal, and puts back what the process did on it before. asyncio's `remove_signal_handler`.
  ///
  /// What was delivered already and has not run yet does not run any more.
  ///
  /// - Returns: whether there was a handler; never on a closed loop.
  /// - Throws: ``EventLoopError`` `.invalidSignal` for a number that is no signal's.
  @discardableResult
  public func removeSignalHandler(_ signal: Signal) throws -> Bool {
    checkThread("removeSignalHandler")
    guard signal.isValid else {
      throw EventLoopError(.invalidSignal, "removeSignalHandler: \(signal) is no signal")
    }
    defer { discardEmptySignalHandlers() }
    return signalHandlers?.remove(signal) ?? false
  }

  /// Has the handler of a signal run, for a kernel that has no process's signals.
  ///
  /// - Returns: whether there is one.
  package func deliver(_ signal: Signal) -> Bool {
    defer { discardEmptySignalHandlers() }
    return signalHandlers?.deliver(signal) ?? false
  }

  /// Has the first SIGINT or SIGTERM call back, and the second end the process, for as long as no signal handler is set for
  /// it and until ``leaveTermination()``. A signal that the program handles by itself, or ignores, is left alone.
  func onTermination(_ callback: @escaping (Signal) -> Void) {
    defer { discardEmptySignalHandlers() }
    // Without a descriptor for it the signals do what they do by default.
    try? makeSignalHandlers().setEnding([.interrupt, .terminate], callback)
  }

  func leaveTermination() {
    signalHandlers?.removeEnding()
    discardEmptySignalHandlers()
  }

  private func makeSignalHandlers() throws(Errno) -> SignalHandlers {
    if let signalHandlers { return signalHandlers }
    let made = try SignalHandlers(self)
    signalHandlers = made
    return made
  }

  func discardEmptySignalHandlers() {
    guard let handlers = signalHandlers, handlers.isEmpty else { return }
    signalHandlers = nil
    handlers.close()
  }
}
