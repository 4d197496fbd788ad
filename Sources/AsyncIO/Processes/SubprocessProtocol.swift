// SPDX-License-Identifier: Apache-2.0

/// A protocol for a child process. asyncio's `SubprocessProtocol`.
///
/// The order of calls: ``connectionMade(_:)`` once, ``pipeDataReceived(_:_:)`` any number of times,
/// ``pipeConnectionLost(_:_:)`` once for each pipe, ``processExited()`` once at any moment,
/// ``BaseProtocol/connectionLost(_:)`` once, after the exit and the ends of all pipes. A process that ends does not end
/// its pipes: its own children may hold them.
public protocol SubprocessProtocol: BaseProtocol {
  /// The process runs, and its pipes are there; before all else. asyncio's `connection_made`.
  ///
  /// An error that this throws closes the transport, which kills the process.
  func connectionMade(_ transport: SubprocessTransport) throws

  /// The child has written, at least one byte. asyncio's `pipe_data_received`.
  ///
  /// An error that this throws closes the pipe.
  ///
  /// - Parameters:
  ///   - fd: 1 for its standard output or its terminal, 2 for its standard error.
  ///   - data: a view of the loop's own buffer, for the length of the call: copy what is to stay.
  func pipeDataReceived(_ fd: Int32, _ data: Span<UInt8>) throws

  /// A pipe is closed, by whichever side. asyncio's `pipe_connection_lost`.
  ///
  /// - Parameters:
  ///   - fd: 0, 1 or 2; 1 for a terminal.
  ///   - error: why it broke; nil after an end of file or a close of our own.
  func pipeConnectionLost(_ fd: Int32, _ error: (any Error)?) throws

  /// The process has ended; ``SubprocessTransport/returnCode`` tells how. asyncio's `process_exited`.
  func processExited() throws
}

extension SubprocessProtocol {
  /// Does nothing.
  public func connectionMade(_ transport: SubprocessTransport) {}
  /// Does nothing.
  public func pipeDataReceived(_ fd: Int32, _ data: Span<UInt8>) {}
  /// Does nothing.
  public func pipeConnectionLost(_ fd: Int32, _ error: (any Error)?) {}
  /// Does nothing.
  public func processExited() {}
}
