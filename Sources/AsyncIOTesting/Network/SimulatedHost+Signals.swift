// SPDX-License-Identifier: Apache-2.0
public import AsyncIO

extension SimulatedHost {
  /// Sends a signal to the process that is the host's programs.
  ///
  /// A handler of the program's runs, as `addSignalHandler` has it. Without one the signal does what it does to a program that
  /// `EventLoop.run` runs:
  ///
  /// - The first `SIGINT` or `SIGTERM` cancels the programs, which may take their time to end. When they have, what tasks are left
  ///   are cancelled and awaited as well, and then the process ends. The second ends it at once.
  /// - `SIGSTOP` and the terminal's like stop the process, and `SIGCONT` has it go on, with the signals that came meanwhile. Its
  ///   kernel takes and acknowledges what others send, as long as there is room.
  /// - `SIGCHLD`, `SIGURG` and `SIGWINCH` do nothing.
  /// - `SIGKILL`, and every other one, ends the process at once.
  ///
  /// Of a process that has ended the kernel closes what was open, so that others are told, unlike after ``crash()``. The host is up
  /// then, with a fresh loop, for ``start(name:file:line:_:)`` to start the next.
  ///
  /// - Parameter signal: a signal's number that is none, and a host that is down, are programmer errors.
  public func raise(_ signal: Signal) {
    require(signal.isValid, "SimulatedHost.raise: \(signal) is no signal")
    let machine = runningMachine
    machine.kernel.note(.signal, Int64(signal.rawValue))
    if signal == .kill { return end(by: signal) }
    if signal == .continue { goOn() }
    if machine.isStopped { return pendingSignals.append(signal) }
    deliver(signal)
  }

  /// Lets a process that was stopped go on.
  func goOn() {
    guard let machine, machine.isStopped else { return }
    machine.isStopped = false
    let pending = pendingSignals
    pendingSignals.removeAll()
    // The first may end the process, and the others with it.
    for signal in pending where self.machine === machine { deliver(signal) }
  }

  private func deliver(_ signal: Signal) {
    let machine = runningMachine
    // Nobody can handle this one.
    if signal != .stop, machine.loop.deliver(signal) { return }
    switch signal {
    case .childChanged, .urgentData, .windowChanged, .continue: break
    case .stop, .terminalStop, .terminalInput, .terminalOutput: machine.isStopped = true
    case .interrupt, .terminate:
      if isEnding { return end(by: signal) }
      isEnding = true
      machine.cancelPrograms { [weak self, weak machine] in
        if let self, self.machine === machine { end(by: signal) }
      }
    default: end(by: signal)
    }
  }

  private func end(by signal: Signal) {
    // What runs the test ends with it.
    if isDirector { runningMachine.cancelPrograms {} } else { endProcess(by: signal) }
  }
}

extension EventLoop {
  /// Sends a signal to the process that the loop is in, of ``withTestLoop(file:line:_:)`` or of a simulated host, as
  /// ``SimulatedHost/raise(_:)`` does. On other loops it is a programmer error: there is `Signal.raise()`.
  ///
  /// On a loop of `withTestLoop` a signal without a handler that would end the process cancels the test.
  public func raise(_ signal: Signal) {
    guard let kernel = kernel as? SimulatedKernel else {
      misuse("EventLoop.raise: the loop gets the process's signals; this is for loops of withTestLoop")
    }
    kernel.host.raise(signal)
  }
}
