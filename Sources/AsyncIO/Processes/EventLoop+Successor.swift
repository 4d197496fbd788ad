// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// How long a successor that is given up has to end by itself.
  private static let successorPatience = Duration.seconds(5)

  /// Starts the process that is to take this one's place, hands it the servers' sockets, and waits until it is ready. asyncio
  /// has no counterpart.
  ///
  /// Both processes have the same open sockets then, and with them the same queues of connections: no client is refused at
  /// any moment. This one goes on serving, until it shuts its servers down and ends:
  ///
  /// ```swift
  /// let successor = try await loop.startSuccessor(passing: ["http": server])
  /// try await loop.notifyServiceManager(.mainProcess(successor.pid), .ready)
  /// try await server.shutdown(gracePeriod: .seconds(30))
  /// ```
  ///
  /// The successor takes the sockets by ``takeInheritedSockets()``, serves, and says ``ServiceNotification/ready`` by
  /// ``notifyServiceManager(_:)``. When it ends before, is not ready in time, or the task is cancelled, it is ended, by
  /// `SIGTERM` and after 5 seconds by `SIGKILL`, and nothing has changed for this process. A successor that is ready outlives
  /// the loop, and the files of the servers' unix sockets are its own from then on.
  ///
  /// - Parameters:
  ///   - program: a name, which is looked for in `PATH`, or a path; nil for the name that this process was started by, at
  ///     which a newer version may lie by now.
  ///   - arguments: what the program is told; nil for what this process was told.
  ///   - servers: the servers whose sockets go to the successor, and the names under which it finds them. Those that listen
  ///     on unix sockets may be among them.
  ///   - timeout: how long the successor may take until it is ready.
  ///   - options: everything else. ``SubprocessOptions/sockets`` come before those of the servers; the child's
  ///     `WATCHDOG_PID`, where there is one, becomes its own.
  /// - Returns: the successor, which serves.
  /// - Throws: ``SuccessorError`` when it ended; ``TimeoutError`` when it is not ready in time; ``EventLoopError``
  ///   `.serverState` for a server that is closed; `CancellationError`; and as
  ///   ``createSubprocessExec(_:_:stdin:stdout:stderr:limit:options:)``.
  public func startSuccessor(
    _ program: (any SystemText)? = nil, _ arguments: [any SystemText]? = nil,
    passing servers: KeyValuePairs<String, Server> = [:], timeout: Duration = .seconds(60),
    options: SubprocessOptions = SubprocessOptions()
  ) async throws -> ChildProcess {
    try checkOpen("startSuccessor")
    let own = CommandLine.arguments
    guard let program = program ?? own.first else {
      throw EventLoopError(.invalidArgument, "startSuccessor: this process does not know what it was started by")
    }
    var options = options
    for (name, server) in servers {
      let sockets = server.passedSockets(named: name)
      if sockets.isEmpty { throw EventLoopError(.serverState, "startSuccessor: the server \"\(name)\" is closed") }
      options.sockets += sockets
    }
    let (channel, theirs) = try readinessChannel()
    // Closed by its end as well, whoever throws.
    defer { channel.close() }
    options.expectReadiness(at: theirs.descriptor, kernel)
    let process = try await createSubprocessExec(program, arguments ?? Array(own.dropFirst()), options: options)
    // Else the end of the successor's would be no end.
    theirs.close()
    do {
      try await withTimeout(timeout) { try await self.waitUntilReady(process, channel) }
    } catch {
      await end(process)
      throw error
    }
    process.transport.outliveLoop()
    for (_, server) in servers { server.leaveFiles() }
    return process
  }

  private func readinessChannel() throws(IOError) -> (ours: Socket, theirs: Socket) {
    do throws(Errno) {
      let (ours, theirs) = try kernel.makeSocketPair(.stream)
      return (Socket(adopting: ours, kernel: kernel), Socket(adopting: theirs, kernel: kernel))
    } catch {
      throw IOError(error, "socketpair")
    }
  }

  /// Returns once the process says that it is ready, and throws once it cannot say so any more.
  private func waitUntilReady(_ process: ChildProcess, _ channel: Socket) async throws {
    // A program that it has started may hold its end of the channel, and so keep the end of the channel from being one.
    let exit = createTask(name: "the successor's end") {
      _ = try await process.wait()
      channel.close()
    }
    defer { exit.cancel() }
    do {
      if try await !sockRecv(channel, 1).isEmpty { return }
    } catch let error as IOError where error.code == .canceled {
      // Its end has closed the channel.
    }
    throw SuccessorError(processID: process.pid, returnCode: try await process.wait())
  }

  /// Ends a successor that may serve somebody already.
  private func end(_ process: ChildProcess) async {
    try? process.terminate()
    let killer = callLater(EventLoop.successorPatience) { try? process.kill() }
    defer { killer.cancel() }
    // The task may be cancelled, and then waits nowhere else.
    _ = try? await withCancellationShield { try await process.wait() }
  }
}

extension SubprocessOptions {
  /// Gives the child the other end of the channel to us, and its own id where it needs that.
  fileprivate mutating func expectReadiness(at channel: FileDescriptor, _ kernel: any Kernel) {
    var number = ChildRequest.firstSocket + Int32(sockets.count)
    while descriptors[number] != nil { number += 1 }
    descriptors[number] = channel
    readiness = number
    processIDVariables.insert(StartVariables.processID)
    // A manager that watches this process is to watch that one.
    let watched = (environment ?? .current)[StartVariables.watchdogProcessID]
    if watched == "\(kernel.processID)" { processIDVariables.insert(StartVariables.watchdogProcessID) }
  }
}
