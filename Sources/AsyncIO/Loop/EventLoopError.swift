// SPDX-License-Identifier: Apache-2.0

/// Something that the state of a loop, a transport or a future did not allow. asyncio's `RuntimeError`.
public struct EventLoopError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is.
  public struct Code: Hashable, Sendable {
    let name: String

    /// The loop is closed.
    public static let closed = Code(name: "closed")
    /// A loop already runs, this one or another on the same thread.
    public static let alreadyRunning = Code(name: "alreadyRunning")
    /// The loop was stopped before the awaited work was done.
    public static let stoppedBeforeComplete = Code(name: "stoppedBeforeComplete")
    /// The program was interrupted (SIGINT).
    public static let interrupted = Code(name: "interrupted")
    /// The argument belongs to another loop.
    public static let foreignLoop = Code(name: "foreignLoop")
    /// The descriptor belongs to a transport.
    public static let descriptorInUse = Code(name: "descriptorInUse")
    /// The future already has an outcome.
    public static let invalidState = Code(name: "invalidState")
    /// An argument is of no use here.
    public static let invalidArgument = Code(name: "invalidArgument")
    /// The server is closed, or serves already.
    public static let serverState = Code(name: "serverState")
    /// The signal is none, or one that nobody can handle.
    public static let invalidSignal = Code(name: "invalidSignal")
    /// Another loop of the process handles the signal.
    public static let signalInUse = Code(name: "signalInUse")
    /// The kernel cannot send this file to this socket by itself, and the caller refused the fallback.
    public static let sendFileNotAvailable = Code(name: "sendFileNotAvailable")
    /// The transport is closing, or its write side was ended.
    public static let transportState = Code(name: "transportState")
    /// The executor was shut down, and takes no more work.
    public static let executorShutDown = Code(name: "executorShutDown")
  }

  /// What kind of error it is.
  public let code: Code
  /// The sentence for the reader.
  public let description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }

  /// Equal when the kind is; the sentences may differ.
  public static func == (a: EventLoopError, b: EventLoopError) -> Bool { a.code == b.code }
  /// Hashes the kind.
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }

  /// Lets `catch EventLoopError.closed` match.
  public static func ~= (pattern: EventLoopError, error: any Error) -> Bool { (error as? EventLoopError) == pattern }

  /// The loop is closed.
  public static let closed = EventLoopError(.closed, "the event loop is closed")
  /// A loop already runs, this one or another on the same thread.
  public static let alreadyRunning = EventLoopError(.alreadyRunning, "an event loop is already running on this thread")
  /// The loop was stopped before the awaited work was done.
  public static let stoppedBeforeComplete = EventLoopError(
    .stoppedBeforeComplete, "the event loop was stopped before the work was done")
  /// The program was interrupted (SIGINT).
  public static let interrupted = EventLoopError(.interrupted, "interrupted by SIGINT")
  /// The argument belongs to another loop.
  public static let foreignLoop = EventLoopError(.foreignLoop, "the future belongs to another event loop")
  /// The future already has an outcome.
  public static let invalidState = EventLoopError(.invalidState, "the future already has an outcome")
  /// The executor was shut down, and takes no more work.
  public static let executorShutDown = EventLoopError(.executorShutDown, "the executor was shut down")
}
