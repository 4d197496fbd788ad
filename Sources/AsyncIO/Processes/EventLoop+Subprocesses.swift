// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Runs a program, and ties a protocol of the factory's to it. asyncio's `subprocess_exec`.
  ///
  /// The program is looked for in the `PATH` of the child's environment, unless its name has a slash. The child gets its
  /// standard streams, ``SubprocessOptions/descriptors`` and nothing else of what this program has open; signals do what
  /// they do by default, but for those that this program ignores (other than `SIGPIPE`), and none is blocked.
  ///
  /// Its end is noticed by a descriptor of its own, with no handler of `SIGCHLD`. The loop stands still from the start
  /// of the child until it runs its program, which takes well under a millisecond, however large this process is.
  ///
  /// - Parameters:
  ///   - factory: makes the protocol.
  ///   - program: a name or a path.
  ///   - arguments: what the program is told, without its own name.
  ///   - stdin: the child's standard input.
  ///   - stdout: the child's standard output.
  ///   - stderr: the child's standard error.
  ///   - options: everything else.
  /// - Throws: ``IOError`` when the program cannot be started: `exec` for a program that does not exist, may not be run
  ///   or has too many arguments, `chdir` for the directory, and so on; nothing is left behind. ``EventLoopError``
  ///   `.invalidArgument` for a text with a zero byte, or a descriptor's number below 3. `CancellationError`, and then
  ///   the child was killed. What the factory throws.
  public func subprocessExec<P: SubprocessProtocol>(
    _ factory: () throws -> P, _ program: any SystemText, _ arguments: [any SystemText] = [],
    stdin: ChildStream = .pipe,
    stdout: ChildStream = .pipe, stderr: ChildErrorStream = .pipe, options: SubprocessOptions = SubprocessOptions()
  ) async throws -> (transport: SubprocessTransport, protocol: P) {
    let streams = ChildStreams.separate(stdin: stdin, stdout: stdout, stderr: stderr)
    return try await startChild("subprocessExec", factory, program, arguments, streams, options)
  }

  /// Runs a program on a terminal of its own, and ties a protocol of the factory's to it.
  ///
  /// What the program writes arrives as descriptor 1's. asyncio has no counterpart.
  ///
  /// - Throws: as ``subprocessExec(_:_:_:stdin:stdout:stderr:options:)``.
  public func subprocessExec<P: SubprocessProtocol>(
    _ factory: () throws -> P, _ program: any SystemText, _ arguments: [any SystemText] = [],
    on terminal: PseudoTerminal,
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> (transport: SubprocessTransport, protocol: P) {
    try await startChild("subprocessExec", factory, program, arguments, .terminal(terminal.size), options)
  }

  /// Runs a shell command by `/bin/sh -c`, or ``SubprocessOptions/executable``, and ties a protocol of the factory's to it. asyncio's `subprocess_shell`.
  ///
  /// Never put together a command from what others sent: use
  /// ``subprocessExec(_:_:_:stdin:stdout:stderr:options:)`` then, which no quote mark can fool.
  ///
  /// - Throws: as ``subprocessExec(_:_:_:stdin:stdout:stderr:options:)``.
  public func subprocessShell<P: SubprocessProtocol>(
    _ factory: () throws -> P, _ command: any SystemText, stdin: ChildStream = .pipe, stdout: ChildStream = .pipe,
    stderr: ChildErrorStream = .pipe, options: SubprocessOptions = SubprocessOptions()
  ) async throws -> (transport: SubprocessTransport, protocol: P) {
    let streams = ChildStreams.separate(stdin: stdin, stdout: stdout, stderr: stderr)
    return try await startChild("subprocessShell", factory, shell(options), ["-c", command], streams, options)
  }

  /// Runs a shell command on a terminal of its own, and ties a protocol of the factory's to it.
  ///
  /// - Throws: as ``subprocessExec(_:_:_:stdin:stdout:stderr:options:)``.
  public func subprocessShell<P: SubprocessProtocol>(
    _ factory: () throws -> P, _ command: any SystemText, on terminal: PseudoTerminal,
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> (transport: SubprocessTransport, protocol: P) {
    try await startChild(
      "subprocessShell", factory, shell(options), ["-c", command], .terminal(terminal.size), options)
  }

  func startChild<P: SubprocessProtocol>(
    _ method: StaticString, _ factory: () throws -> P, _ program: any SystemText, _ arguments: [any SystemText],
    _ streams: ChildStreams, _ options: SubprocessOptions
  ) async throws -> (transport: SubprocessTransport, protocol: P) {
    try checkOpen(method)
    try Task.checkCancellation()
    let request = try ChildRequest(program, arguments, options)
    let receiver = try factory()
    let transport = try startChild(request, streams, receiver)
    if Task.isCancelled {
      transport.close()
      await transport.waitForEnd()
      throw CancellationError()
    }
    return (transport, receiver)
  }

  private func startChild(
    _ request: ChildRequest, _ streams: ChildStreams, _ receiver: any SubprocessProtocol
  ) throws(IOError) -> SubprocessTransport {
    var request = request
    var descriptors = try ChildDescriptors(streams, kernel)
    request.descriptors += descriptors.table
    var isTerminal = false
    if case .terminal = streams {
      isTerminal = true
      request.startsSession = true
      request.controlsTerminal = true
    }
    defer { descriptors.closeTheirs() }
    do throws(IOError) {
      let child = try kernel.start(request)
      let transport = try SubprocessTransport(self, child, pipes: isTerminal ? [1] : Set(descriptors.ours.keys))
      transport.start(receiver, descriptors.ours, isTerminal: isTerminal)
      return transport
    } catch {
      descriptors.closeOurs()
      throw error
    }
  }
}

/// The shell, which also calls itself by the name that it was found by.
func shell(_ options: SubprocessOptions) -> any SystemText { options.executable ?? "/bin/sh" }
