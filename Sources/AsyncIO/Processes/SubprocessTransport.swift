// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A child process and the pipes to it. asyncio's `SubprocessTransport`.
///
/// It is made by `subprocessExec` or `subprocessShell`, which hand it to the protocol in `connectionMade`. It belongs to
/// its loop's thread. The loop keeps it until the process and its pipes have ended, whether the program does or not; a
/// loop that is closed before kills the process.
public final class SubprocessTransport: BaseTransport {
  let loop: EventLoop
  private let watch: ChildWatch
  private var state: SubprocessState
  /// By the child's number.
  private var pipes: [Int32: any BaseTransport] = [:]
  /// Who is called; nil after `connectionLost`.
  private var receiver: (any SubprocessProtocol)?
  /// Who waits for the process's exit, or for the end of everything.
  private let ends: Gate
  /// Takes back what is to happen when the loop closes.
  private var forgetCloseHook: (() -> Void)?

  /// Takes over a child and our ends of its pipes, and begins to watch the child.
  init(_ loop: EventLoop, _ child: Child, pipes numbers: Set<Int32>) throws(IOError) {
    self.loop = loop
    ends = Gate(loop)
    watch = ChildWatch(loop, child)
    state = SubprocessState(pipes: numbers)
    try watch.begin { self.processExited() }
  }

  /// Ties the protocol to the process, by pipes or by a terminal.
  func start(_ receiver: any SubprocessProtocol, _ descriptors: [Int32: FileDescriptor], isTerminal: Bool) {
    self.receiver = receiver
    forgetCloseHook = loop.onClose { [self] in
      self.receiver = nil
      terminal?.release()
    }
    if isTerminal, let reading = descriptors[1], let writing = descriptors[0], let keeping = descriptors[2] {
      let terminal = TerminalTransport(loop, reading: reading, writing: writing, keeping: keeping)
      for number in 0..<3 { pipes[Int32(number)] = terminal }
      terminal.start(ChildPipe(self, 1))
    } else {
      for (number, descriptor) in descriptors.sorted(by: { $0.key < $1.key }) { startPipe(number, descriptor) }
    }
    do {
      try receiver.connectionMade(self)
    } catch {
      report("connectionMade", error)
      close()
    }
  }

  private func startPipe(_ number: Int32, _ descriptor: FileDescriptor) {
    let link = ChildPipe(self, number)
    if number == 0 {
      let pipe = WritePipeTransport(loop, OwnedDescriptor(descriptor, loop.kernel))
      pipes[number] = pipe
      pipe.start(link)
    } else {
      let pipe = ReadPipeTransport(loop, OwnedDescriptor(descriptor, loop.kernel))
      pipes[number] = pipe
      pipe.start(link)
    }
  }

  // MARK: Protocol

  /// The protocol that is called now; nil after `connectionLost`. asyncio's `get_protocol`.
  public func getProtocol() -> (any SubprocessProtocol)? {
    loop.checkThread("SubprocessTransport.getProtocol")
    return receiver
  }

  /// Has another protocol called from now on, without a `connectionMade`. asyncio's `set_protocol`.
  public func setProtocol(_ newProtocol: any SubprocessProtocol) {
    loop.checkThread("SubprocessTransport.setProtocol")
    if receiver != nil { receiver = newProtocol }
  }

  // MARK: Information

  /// The process's id. asyncio's `get_pid`.
  public var pid: Int32 { watch.pid }

  /// The process's exit status, or minus the signal that ended it; nil while it runs. asyncio's `get_returncode`.
  ///
  /// 255, with a warning in the log, when somebody else in this program has waited for it.
  public var returnCode: Int32? {
    loop.checkThread("SubprocessTransport.returnCode")
    return watch.returnCode
  }

  /// The transport of a pipe: 0 for the child's standard input, a ``WritePipeTransport``; 1 for its standard output and
  /// 2 for its standard error, ``ReadPipeTransport``s. With a terminal all three are one ``TerminalTransport``. Nil
  /// where there is no pipe. asyncio's `get_pipe_transport`.
  public func pipeTransport(_ fd: Int32) -> (any BaseTransport)? {
    loop.checkThread("SubprocessTransport.pipeTransport")
    return pipes[fd]
  }

  /// The child's terminal; nil when it has none from us.
  public var terminal: TerminalTransport? { pipes[1] as? TerminalTransport }

  // MARK: Signals

  /// Sends the process a signal. asyncio's `send_signal`.
  ///
  /// - Throws: ``IOError`` `.noSuchProcess` when it has ended, also if nobody has noticed yet; `.invalidArgument` for
  ///   what is no signal; `.notPermitted` when it runs as another user.
  public func sendSignal(_ signal: Signal) throws {
    loop.checkThread("SubprocessTransport.sendSignal")
    try watch.send(signal)
  }

  /// Asks the process to end, by `SIGTERM`. asyncio's `terminate`.
  ///
  /// - Throws: as ``sendSignal(_:)``.
  public func terminate() throws { try sendSignal(.terminate) }

  /// Ends the process, by `SIGKILL`. asyncio's `kill`.
  ///
  /// - Throws: as ``sendSignal(_:)``.
  public func kill() throws { try sendSignal(.kill) }

  // MARK: Closing

  public var isClosing: Bool {
    loop.checkThread("SubprocessTransport.isClosing")
    return state.isClosing
  }

  /// Closes the pipes, and kills the process if it still runs. asyncio's `close`.
  ///
  /// What is buffered for a process that is killed is dropped. `connectionLost` follows as after any other end.
  public func close() {
    loop.checkThread("SubprocessTransport.close")
    guard state.close(), !loop.isClosed else { return }
    let wasRunning = (try? watch.send(.kill)) != nil
    for pipe in pipes.values {
      if wasRunning, let pipe = pipe as? any WriteTransport { pipe.abort() } else { pipe.close() }
    }
  }

  /// Has the process run on when the loop closes.
  func outliveLoop() { watch.outlivesLoop = true }

  // MARK: Waiting

  /// Waits for the process's end, whatever becomes of the pipes.
  func waitForExit() async throws -> Int32 {
    try await ends.waitUntil("ChildProcess.wait") { state.hasExited }
    return watch.returnCode ?? 255
  }

  /// Waits until everything has ended, also in a task that is cancelled.
  func waitForEnd() async {
    await ends.waitRegardless { receiver == nil }
  }

  // MARK: What happens

  private func processExited() {
    terminal?.release()
    do { try receiver?.processExited() } catch { report("processExited", error) }
    let isDone = state.exited()
    ends.wakeAll()
    if isDone { scheduleEnd() }
  }

  fileprivate func dataReceived(_ number: Int32, _ data: Span<UInt8>) throws {
    try receiver?.pipeDataReceived(number, data)
  }

  fileprivate func pipeEnded(_ number: Int32, _ error: (any Error)?) {
    do { try receiver?.pipeConnectionLost(number, error) } catch { report("pipeConnectionLost", error) }
    if state.pipeEnded(number) { scheduleEnd() }
  }

  fileprivate func tell(_ signal: FlowControl.Signal) {
    do { try receiver?.tell(signal) } catch { report(signal.method, error) }
  }

  /// The last call to the protocol, in an iteration of its own; then everything is let go of.
  private func scheduleEnd() {
    guard !loop.isClosed else { return }
    loop.callSoon { [self] in
      do { try receiver?.connectionLost(nil) } catch { report("connectionLost", error) }
      receiver = nil
      forgetCloseHook?()
      forgetCloseHook = nil
      ends.wakeAll()
    }
  }

  private func report(_ method: String, _ error: any Error) {
    var context = ExceptionContext(message: "error in a protocol's \(method)", error: error)
    context.protocol = receiver
    context.transport = self
    loop.callExceptionHandler(context)
  }
}

extension SubprocessTransport: CustomStringConvertible {
  /// Names the process, such as `child process 4711`.
  public var description: String { "child process \(pid)" }
}

/// Between a pipe and the process that it belongs to.
private final class ChildPipe: ReadPipeProtocol, WritePipeProtocol, TerminalProtocol {
  private let process: SubprocessTransport
  private let number: Int32

  init(_ process: SubprocessTransport, _ number: Int32) {
    self.process = process
    self.number = number
  }

  func connectionMade(_ transport: ReadPipeTransport) {}
  func connectionMade(_ transport: WritePipeTransport) {}
  func dataReceived(_ data: Span<UInt8>) throws { try process.dataReceived(number, data) }
  func pauseWriting() { process.tell(.pause) }
  func resumeWriting() { process.tell(.resume) }
  func tell(_ signal: FlowControl.Signal) { process.tell(signal) }
  func connectionLost(_ error: (any Error)?) { process.pipeEnded(number, error) }
  func terminalEnded(_ error: (any Error)?) { process.pipeEnded(number, error) }
}
