// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Takes the sockets that the process was started with: by systemd, by another manager that speaks its protocol, or by
  /// ``startSuccessor(_:_:passing:timeout:options:)``.
  ///
  /// They are those of the environment's `LISTEN_FDS`, from descriptor 3 on, if `LISTEN_PID` names this process; else there
  /// are none. They can be taken once in a process, since a socket has one owner. They are made close-on-exec, and nothing
  /// about them reaches the environment of our children; the process's own is not changed, which would not be safe while
  /// other threads read it.
  ///
  /// Any thread's loop may take them; the sockets belong to that thread then.
  ///
  /// - Returns: the sockets; none where none were passed.
  /// - Throws: ``EventLoopError`` `.invalidEnvironment` for variables that make no sense, and for a descriptor that is closed
  ///   or no socket, and then nothing is taken; `.invalidState` when they were taken already; `.closed`.
  public func takeInheritedSockets() throws -> InheritedSockets {
    try checkOpen("takeInheritedSockets")
    let passed = try kernel.passedSockets()
    if passed.isEmpty { return InheritedSockets([]) }
    guard kernel.claim(.sockets) else {
      throw EventLoopError(.invalidState, "takeInheritedSockets: the sockets were taken already")
    }
    return InheritedSockets(
      passed.map { InheritedSocket(name: $0.name, socket: Socket(adopting: $0.descriptor, kernel: kernel)) })
  }
}

extension Kernel {
  /// What the environment says of passed sockets, each of which is one, and close-on-exec.
  fileprivate func passedSockets() throws -> [(name: String, descriptor: FileDescriptor)] {
    guard try isAddressed, let count: Int32 = try number(StartVariables.count, "number of sockets") else { return [] }
    let names = try names(of: count)
    var passed: [(name: String, descriptor: FileDescriptor)] = []
    for index in 0..<count {
      let (number, isTooLarge) = firstPassedDescriptor.addingReportingOverflow(index)
      let descriptor = FileDescriptor(rawValue: number)
      guard !isTooLarge, let kind = try? fileKind(descriptor) else { throw misfit(number, count, "is not open") }
      guard kind == .socket else { throw misfit(number, count, "is no socket") }
      try setCloseOnExec(descriptor)
      passed.append((names?[Int(index)] ?? StartVariables.unknownName, descriptor))
    }
    return passed
  }

  private func misfit(_ number: Int32, _ count: Int32, _ what: String) -> EventLoopError {
    EventLoopError(
      .invalidEnvironment, "descriptor \(number) \(what), but \(StartVariables.count)=\(count) counts it as a socket")
  }

  /// The names, as many as there are sockets; nil for none.
  private func names(of count: Int32) throws(EventLoopError) -> [String]? {
    guard let text = environmentVariable(StartVariables.names) else { return nil }
    let names = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    // No text at all is the name of one socket, or of none.
    guard names.count == count || count == 0 && text.isEmpty else {
      throw EventLoopError(
        .invalidEnvironment,
        "\(StartVariables.names) is \"\(text.printable())\", and \(StartVariables.count) \(count): a name each is needed"
      )
    }
    return names.map { String(decoding: $0, as: UTF8.self) }
  }
}
