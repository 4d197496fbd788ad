// SPDX-License-Identifier: Apache-2.0
package import SystemPackage

/// The system calls around child processes, and what connects them with their parent. A part of ``Kernel``.
package protocol ChildKernel {
  /// Starts a program, and returns once it runs.
  ///
  /// - Parameter sharingMemory: the child uses this process's memory until it runs its program. Without, it has a copy.
  func spawn(_ request: ChildRequest, sharingMemory: Bool) throws(SpawnError) -> Child
  /// Whether children may share memory: the kernel finds out once, and remembers.
  var sharingClone: NewerCall { get }
  /// The child's return code, once: then it is gone. Nil while it lives.
  func reap(_ child: Child) throws(Errno) -> Int32?
  /// Blocks until the child has ended, and leaves it to be reaped. Never called on a loop's thread.
  func waitForEnd(of child: Child) throws(Errno)
  func signal(_ child: Child, _ signal: Signal) throws(Errno)

  /// A pipe for a child: close-on-exec, and blocking, since one end is the child's.
  func makePipe() throws(Errno) -> (reading: FileDescriptor, writing: FileDescriptor)
  func openNullDevice() throws(Errno) -> FileDescriptor
  /// A pseudo-terminal: its master, non-blocking, and the terminal for a child.
  func makeTerminal(_ size: TerminalSize) throws(Errno) -> (master: FileDescriptor, terminal: FileDescriptor)
  func resizeTerminal(_ descriptor: FileDescriptor, to size: TerminalSize) throws(Errno)
  /// Another number for the same open file, close-on-exec.
  func duplicate(_ descriptor: FileDescriptor) throws(Errno) -> FileDescriptor
}

/// A child process, until it is reaped.
package struct Child: Hashable, Sendable {
  package var pid: Int32
  /// Becomes readable when the child has ended; nil where the kernel made none.
  package var pidfd: FileDescriptor?
}

/// The size of a terminal, in characters.
package struct TerminalSize: Hashable, Sendable {
  package var rows: UInt16
  package var columns: UInt16
}

/// What to run, and how. Its texts contain no zero byte, which whoever makes one has checked.
package struct ChildRequest: Sendable {
  /// The program as it was asked for, for messages.
  package var program: String
  /// Where it may be, to be tried in turn.
  package var paths: [[UInt8]]
  /// From the program's own name on.
  package var arguments: [[UInt8]]
  /// `NAME=value` each; nil for the process's own.
  package var environment: [[UInt8]]?
  /// Variables of the environment whose value is the child's own id, beyond those above.
  package var processIDVariables: [String] = []
  /// Nil for the process's own.
  package var directory: [UInt8]?
  /// Which of our descriptors the child has under which number. Of the others it inherits 0 to 2 alone.
  package var descriptors: [(number: Int32, source: FileDescriptor)] = []
  package var startsSession = false
  /// Whether standard input becomes the session's controlling terminal.
  package var controlsTerminal = false
  /// 0 makes a group of its own.
  package var processGroup: Int32?
  package var fileModeMask: UInt32?
  package var user: UInt32?
  package var group: UInt32?
  package var extraGroups: [UInt32]?

  package init(program: String, paths: [any SystemText], arguments: [any SystemText]) {
    self.program = program
    self.paths = paths.map(\.systemBytes)
    self.arguments = arguments.map(\.systemBytes)
  }

  /// Such a child must not share our memory: what may trace the new user's processes could reach it there.
  var changesIdentity: Bool { user != nil || group != nil || extraGroups != nil }
}

/// Why a child could not be started.
package struct SpawnError: Error, Sendable {
  package enum Stage: Sendable {
    case clone, session, processGroup, descriptor, terminal, directory, groups, group, user, exec
  }

  package var code: Errno
  /// What failed: from the second on, in the child.
  package var stage: Stage
  /// The descriptor or id concerned.
  package var value: Int32

  package init(_ code: Errno, _ stage: Stage, value: Int32 = 0) {
    self.code = code
    self.stage = stage
    self.value = value
  }
}

extension ChildKernel {
  /// Starts a program in the cheapest way that the system admits.
  func start(_ request: ChildRequest) throws(IOError) -> Child {
    do throws(SpawnError) {
      return try startAny(request)
    } catch {
      let (operation, subject) = request.describe(error)
      throw IOError(error.code, operation, subject)
    }
  }

  private func startAny(_ request: ChildRequest) throws(SpawnError) -> Child {
    if request.changesIdentity { return try spawn(request, sharingMemory: false) }
    return try sharingClone.attempt { () throws(SpawnError) in
      try spawn(request, sharingMemory: true)
    } isRefusal: {
      $0.stage == .clone && $0.code.isRefusal
    } else: { () throws(SpawnError) in
      try spawn(request, sharingMemory: false)
    }
  }
}

extension ChildRequest {
  /// The operation that failed, and what it was done on.
  fileprivate func describe(_ error: SpawnError) -> (operation: String, subject: String) {
    switch error.stage {
    case .clone: ("clone", program)
    case .session: ("setsid", program)
    case .processGroup: ("setpgid", "process group \(error.value)")
    case .descriptor: ("dup2", "descriptor \(error.value)")
    case .terminal: ("ioctl TIOCSCTTY", program)
    case .directory: ("chdir", (directory ?? []).printable())
    case .groups: ("setgroups", "\(error.value) groups")
    case .group: ("setgid", "group \(UInt32(bitPattern: error.value))")
    case .user: ("setuid", "user \(UInt32(bitPattern: error.value))")
    case .exec: ("exec", program)
    }
  }
}
