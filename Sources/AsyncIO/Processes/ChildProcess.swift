// SPDX-License-Identifier: Apache-2.0
import Logging

/// A child process, with a writer and readers for its pipes. asyncio's `asyncio.subprocess.Process`.
///
/// It comes from `createSubprocessExec` or `createSubprocessShell`, and belongs to its loop's thread. A process that is
/// dropped runs on, and is reaped when it ends; its pipes are closed, each when the writer or reader is dropped too. In
/// debug mode dropping one that runs is logged. A loop that closes kills it.
public final class ChildProcess {
  /// Writes to the child's standard input; nil when that is no pipe. asyncio's `stdin`.
  public let stdin: StreamWriter?
  /// Reads the child's standard output, or its terminal; nil when that is no pipe. asyncio's `stdout`.
  public let stdout: StreamReader?
  /// Reads the child's standard error; nil when that is no pipe. asyncio's `stderr`.
  public let stderr: StreamReader?
  /// The transport below. asyncio's `_transport`, by which programs get what this has no method for.
  public let transport: SubprocessTransport
  private let connection: ChildConnection

  init(
    _ transport: SubprocessTransport, _ connection: ChildConnection, stdout: StreamReader, stderr: StreamReader
  ) {
    self.transport = transport
    self.connection = connection
    stdin = (transport.pipeTransport(0) as? any WriteTransport).map { StreamWriter($0, connection.flow) }
    self.stdout = transport.pipeTransport(1) == nil ? nil : stdout
    self.stderr = transport.pipeTransport(2) == nil || transport.terminal != nil ? nil : stderr
  }

  deinit {
    // The last reference may go wherever a task ends.
    let transport = LoopBound(transport)
    transport.value.loop.taskExecutor.door.runOnLoop {
      guard transport.value.loop.debug, transport.value.returnCode == nil else { return }
      EventLoop.log.warning(
        "child process \(transport.value.pid) still runs, and nobody holds its ChildProcess any more")
    }
  }

  /// The process's id. asyncio's `pid`.
  public var pid: Int32 { transport.pid }

  /// The process's exit status, or minus the signal that ended it; nil while it runs. asyncio's `returncode`.
  public var returnCode: Int32? { transport.returnCode }

  /// Waits for the process's end. asyncio's `wait`.
  ///
  /// Any number of tasks may wait. A process that fills a pipe which nobody reads never ends: use
  /// ``communicate(input:killOnCancel:)-([UInt8]?,_)`` then.
  ///
  /// - Returns: the return code.
  /// - Throws: `CancellationError`, and then the process runs on.
  @discardableResult
  public func wait() async throws -> Int32 { try await transport.waitForExit() }

  /// Sends input, closes the standard input, and reads all output, until the process and its pipes have ended. asyncio's
  /// `communicate`.
  ///
  /// A process that does not read its input to the end is no error. When this is cancelled, nothing is lost: what has
  /// arrived is there for the next read or `communicate`, and the input is sent on.
  ///
  /// On a terminal, the input is typed, and after it the end-of-file character.
  ///
  /// - Parameters:
  ///   - input: what the process reads; nil for nothing.
  ///   - killOnCancel: whether the process is killed when the task is cancelled.
  /// - Returns: what was read from each pipe; nil where there is none.
  /// - Throws: `CancellationError`; ``IOError`` when reading failed; ``EventLoopError`` `.invalidArgument` for input to a
  ///   process whose standard input is no pipe.
  @discardableResult
  public func communicate(
    input: [UInt8]? = nil, killOnCancel: Bool = false
  ) async throws -> (stdout: [UInt8]?, stderr: [UInt8]?) {
    try feed(input)
    stdout?.collects = true
    stderr?.collects = true
    defer {
      stdout?.collects = false
      stderr?.collects = false
    }
    do {
      try await connection.waitUntilDone()
    } catch {
      if killOnCancel { try? kill() }
      throw error
    }
    // Both have ended: neither read waits, so that nothing can come between them.
    return (try await stdout?.read(), try await stderr?.read())
  }

  /// The same, with text for input.
  ///
  /// - Throws: as ``communicate(input:killOnCancel:)-([UInt8]?,_)``.
  @discardableResult
  public func communicate(
    input: String, killOnCancel: Bool = false
  ) async throws -> (stdout: [UInt8]?, stderr: [UInt8]?) {
    try await communicate(input: Array(input.utf8), killOnCancel: killOnCancel)
  }

  private func feed(_ input: [UInt8]?) throws {
    guard let stdin else {
      guard input == nil else {
        throw EventLoopError(.invalidArgument, "communicate: the standard input of process \(pid) is no pipe to us")
      }
      return
    }
    if let input, !stdin.isClosing { stdin.write(input) }
    if transport.terminal == nil {
      stdin.close()
    } else if !stdin.isClosing {
      // In the middle of a line, the first one only hands over what there is of it.
      if let last = input?.last, last != UInt8(ascii: "\n") { stdin.writeEOF() }
      stdin.writeEOF()
    }
  }

  /// Sends the process a signal. asyncio's `send_signal`.
  ///
  /// - Throws: as ``SubprocessTransport/sendSignal(_:)``.
  public func sendSignal(_ signal: Signal) throws { try transport.sendSignal(signal) }

  /// Asks the process to end, by `SIGTERM`. asyncio's `terminate`.
  ///
  /// - Throws: as ``SubprocessTransport/sendSignal(_:)``.
  public func terminate() throws { try transport.terminate() }

  /// Ends the process, by `SIGKILL`. asyncio's `kill`.
  ///
  /// - Throws: as ``SubprocessTransport/sendSignal(_:)``.
  public func kill() throws { try transport.kill() }
}
