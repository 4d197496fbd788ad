// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// Runs a program. asyncio's `create_subprocess_exec`.
  ///
  /// ```swift
  /// let process = try await loop.createSubprocessExec("sort", ["-n"], stdin: .pipe, stdout: .pipe)
  /// let (sorted, _) = try await process.communicate(input: "10\n9\n")
  /// ```
  ///
  /// - Parameters:
  ///   - program: a name, which is looked for in the `PATH` of the child's environment, or a path.
  ///   - arguments: what the program is told, without its own name.
  ///   - stdin: the child's standard input.
  ///   - stdout: the child's standard output.
  ///   - stderr: the child's standard error.
  ///   - limit: the readers', in bytes.
  ///   - options: everything else.
  /// - Returns: the process, which runs.
  /// - Throws: as ``subprocessExec(_:_:_:stdin:stdout:stderr:options:)``; ``EventLoopError`` `.invalidArgument` for a
  ///   limit of zero or less.
  public func createSubprocessExec(
    _ program: any SystemText, _ arguments: [any SystemText] = [], stdin: ChildStream = .inherit,
    stdout: ChildStream = .inherit,
    stderr: ChildErrorStream = .inherit, limit: Int = StreamReader.defaultLimit,
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> ChildProcess {
    let streams = ChildStreams.separate(stdin: stdin, stdout: stdout, stderr: stderr)
    return try await createChild("createSubprocessExec", program, arguments, streams, limit, options)
  }

  /// Runs a program on a terminal of its own: what is written to `stdin` is typed, and `stdout` reads the screen.
  ///
  /// The terminal is hung up when `stdin` is closed or dropped. asyncio has no counterpart.
  ///
  /// - Throws: as ``createSubprocessExec(_:_:stdin:stdout:stderr:limit:options:)``.
  public func createSubprocessExec(
    _ program: any SystemText, _ arguments: [any SystemText] = [], on terminal: PseudoTerminal,
    limit: Int = StreamReader.defaultLimit,
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> ChildProcess {
    try await createChild("createSubprocessExec", program, arguments, .terminal(terminal.size), limit, options)
  }

  /// Runs a shell command by `/bin/sh -c`, or ``SubprocessOptions/executable``. asyncio's `create_subprocess_shell`.
  ///
  /// Never put together a command from what others sent: use
  /// ``createSubprocessExec(_:_:stdin:stdout:stderr:limit:options:)`` then, which no quote mark can fool.
  ///
  /// - Throws: as ``createSubprocessExec(_:_:stdin:stdout:stderr:limit:options:)``.
  public func createSubprocessShell(
    _ command: any SystemText, stdin: ChildStream = .inherit, stdout: ChildStream = .inherit,
    stderr: ChildErrorStream = .inherit, limit: Int = StreamReader.defaultLimit,
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> ChildProcess {
    let streams = ChildStreams.separate(stdin: stdin, stdout: stdout, stderr: stderr)
    return try await createChild("createSubprocessShell", shell(options), ["-c", command], streams, limit, options)
  }

  /// Runs a shell command on a terminal of its own.
  ///
  /// - Throws: as ``createSubprocessExec(_:_:stdin:stdout:stderr:limit:options:)``.
  public func createSubprocessShell(
    _ command: any SystemText, on terminal: PseudoTerminal, limit: Int = StreamReader.defaultLimit,
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> ChildProcess {
    try await createChild(
      "createSubprocessShell", shell(options), ["-c", command], .terminal(terminal.size), limit, options)
  }

  private func createChild(
    _ method: StaticString, _ program: any SystemText, _ arguments: [any SystemText], _ streams: ChildStreams,
    _ limit: Int,
    _ options: SubprocessOptions
  ) async throws -> ChildProcess {
    // Held here until the process holds them: nothing is fed before.
    let (stdout, stderr) = (try StreamReader(self, limit: limit), try StreamReader(self, limit: limit))
    let connection = ChildConnection(self, stdout: stdout, stderr: stderr)
    let (transport, _) = try await startChild(method, { connection }, program, arguments, streams, options)
    return ChildProcess(transport, connection, stdout: stdout, stderr: stderr)
  }
}
