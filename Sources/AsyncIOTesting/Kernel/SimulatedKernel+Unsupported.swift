// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

// What a simulated host has not: children and terminals. A program that asks for them is told so.

extension SimulatedKernel {
  func spawn(_ request: ChildRequest, sharingMemory: Bool) throws(SpawnError) -> Child {
    throw SpawnError(.noFunction, .clone)
  }

  func reap(_ child: Child) throws(Errno) -> Int32? { throw .noFunction }
  func waitForEnd(of child: Child) throws(Errno) { throw .noFunction }
  func signal(_ child: Child, _ signal: Signal) throws(Errno) { throw .noFunction }
  func openNullDevice() throws(Errno) -> FileDescriptor { throw .noFunction }

  func makeTerminal(_ size: TerminalSize) throws(Errno) -> (master: FileDescriptor, terminal: FileDescriptor) {
    throw .noFunction
  }

  func resizeTerminal(_ descriptor: FileDescriptor, to size: TerminalSize) throws(Errno) { throw .noFunction }

  func reopen(_ descriptor: FileDescriptor, for direction: Interest) throws(Errno) -> FileDescriptor {
    throw .noFunction
  }

  var hasSignalsOfTheProcess: Bool { false }

  func signalDisposition(_ signal: Signal) throws(Errno) -> SignalDisposition { throw .noFunction }

  func setSignalDisposition(
    _ signal: Signal, _ disposition: SignalDisposition
  ) throws(Errno) -> SignalDisposition {
    throw .noFunction
  }
}

/// What a program finds that was started by nobody in particular.
extension SimulatedKernel {
  var processID: Int32 { 1 }
  var firstPassedDescriptor: Int32 { 3 }
  func environmentVariable(_ name: String) -> [UInt8]? { nil }
  func claim(_ legacy: Legacy) -> Bool { true }
  func setCloseOnExec(_ descriptor: FileDescriptor) throws(Errno) { throw .noFunction }
}
