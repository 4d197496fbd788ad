// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// What a child's standard input or output is. asyncio's `PIPE`, `DEVNULL`, a file, or `None`.
public enum ChildStream: Sendable {
  /// A pipe to us.
  case pipe
  /// The same as ours.
  case inherit
  /// The null device: nothing to read, and what is written is gone.
  case null
  /// A descriptor of the program's, which stays the program's.
  case descriptor(FileDescriptor)
}

/// What a child's standard error is. asyncio's `PIPE`, `DEVNULL`, `STDOUT`, a file, or `None`.
public enum ChildErrorStream: Sendable {
  /// A pipe to us.
  case pipe
  /// The same as ours.
  case inherit
  /// The null device: what is written is gone.
  case null
  /// A descriptor of the program's, which stays the program's.
  case descriptor(FileDescriptor)
  /// Wherever the child's standard output goes.
  case standardOutput
}

/// A terminal for a child, with us at the other side in the place of screen and keyboard. asyncio has none.
///
/// All three standard streams of the child are the terminal, which controls the child's new session: programs behave as
/// for a person, and job control works.
public struct PseudoTerminal: Hashable, Sendable {
  let size: TerminalSize

  /// A terminal of so many lines and characters in a line.
  public static func pty(rows: UInt16 = 24, columns: UInt16 = 80) -> PseudoTerminal {
    PseudoTerminal(size: TerminalSize(rows: rows, columns: columns))
  }
}

/// How a child is started, beyond program and standard streams. asyncio passes these on to `subprocess.Popen`.
public struct SubprocessOptions: Sendable {
  /// The file to run where that is not the program that is named: the program's name is then only what the child is told
  /// as its own. With a shell command, the shell. A name without a slash is looked for as the program's is. asyncio's
  /// `executable`.
  public var executable: (any SystemText)?
  /// The child's environment, all of it; nil for ours. The program is looked for in its `PATH`. asyncio's `env`.
  public var environment: ChildEnvironment?
  /// Where the child starts; nil for where we are. asyncio's `cwd`.
  public var workingDirectory: (any SystemText)?
  /// Whether the child begins a session, without a terminal. asyncio's `start_new_session`.
  public var startNewSession: Bool
  /// The process group that the child joins; 0 for one of its own, nil for ours. asyncio's `process_group`.
  public var processGroup: Int32?
  /// The user that the child runs as, by id. asyncio's `user`.
  public var user: UInt32?
  /// The group that the child runs as, by id. asyncio's `group`.
  public var group: UInt32?
  /// The child's further groups, by id; nil for ours. asyncio's `extra_groups`.
  public var extraGroups: [UInt32]?
  /// What is withheld from files that the child makes; nil for ours. asyncio's `umask`.
  public var umask: FilePermissions?
  /// More descriptors for the child, under the numbers that it shall see, from 3. They stay the program's. No other one
  /// reaches it. asyncio's `pass_fds`, which cannot change the numbers.
  public var descriptors: [Int32: FileDescriptor]
  /// Sockets for the child, which finds them as a service finds those of systemd: from descriptor 3 on, in this order, told
  /// by `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES` in its environment. They stay the program's. Of a shell only what it
  /// replaces itself by with `exec` takes them for its own. asyncio has none.
  public var sockets: [PassedSocket]
  /// Variables of the child's environment whose value shall be its own process id.
  var processIDVariables: Set<String> = []
  /// The number at which the child finds the channel to us, if it is to tell when it is ready.
  var readiness: Int32?

  /// By default everything is as it is here. See the properties for what each argument does.
  public init(
    executable: (any SystemText)? = nil, environment: ChildEnvironment? = nil,
    workingDirectory: (any SystemText)? = nil, startNewSession: Bool = false, processGroup: Int32? = nil,
    user: UInt32? = nil, group: UInt32? = nil, extraGroups: [UInt32]? = nil, umask: FilePermissions? = nil,
    descriptors: [Int32: FileDescriptor] = [:], sockets: [PassedSocket] = []
  ) {
    self.executable = executable
    self.environment = environment
    self.workingDirectory = workingDirectory
    self.startNewSession = startNewSession
    self.processGroup = processGroup
    self.user = user
    self.group = group
    self.extraGroups = extraGroups
    self.umask = umask
    self.descriptors = descriptors
    self.sockets = sockets
  }
}
