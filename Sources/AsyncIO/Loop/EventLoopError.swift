// SPDX-License-Identifier: Apache-2.0

/// Something that the state of a loop, a transport or a future did not allow. asyncio's `RuntimeError`.
///
/// Two of them are equal when their codes are, so that `catch EventLoopError.closed` matches whatever the sentence says.
public struct EventLoopError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The code's name.
    public let description: String

    /// The loop is closed.
    public static let closed = Code(description: "closed")
    /// A loop already runs, this one or another on the same thread.
    public static let alreadyRunning = Code(description: "alreadyRunning")
    /// The loop was stopped before the awaited work was done.
    public static let stoppedBeforeComplete = Code(description: "stoppedBeforeComplete")
    /// The program was asked to end, by SIGINT or SIGTERM.
    public static let interrupted = Code(description: "interrupted")
    /// The argument belongs to another loop.
    public static let foreignLoop = Code(description: "foreignLoop")
    /// The descriptor belongs to a transport, or is watched already.
    public static let descriptorInUse = Code(description: "descriptorInUse")
    /// The future already has an outcome, or the reader a task that reads.
    public static let invalidState = Code(description: "invalidState")
    /// An argument is of no use here.
    public static let invalidArgument = Code(description: "invalidArgument")
    /// The server is closed, or serves already.
    public static let serverState = Code(description: "serverState")
    /// The signal is none, or one that nobody can handle.
    public static let invalidSignal = Code(description: "invalidSignal")
    /// Another loop of the process handles the signal.
    public static let signalInUse = Code(description: "signalInUse")
    /// The kernel cannot send this file to this socket by itself, and the caller refused the fallback.
    public static let sendFileNotAvailable = Code(description: "sendFileNotAvailable")
    /// The transport is closing, or its write side was ended.
    public static let transportState = Code(description: "transportState")
    /// The executor was shut down, and takes no more work.
    public static let executorShutDown = Code(description: "executorShutDown")
    /// The queue was shut down; so is a ``Watch``. asyncio's `QueueShutDown`.
    public static let queueShutDown = Code(description: "queueShutDown")
    /// The barrier was aborted or reset. asyncio's `BrokenBarrierError`.
    public static let brokenBarrier = Code(description: "brokenBarrier")
    /// A variable of the environment that a service manager or a predecessor sets makes no sense.
    public static let invalidEnvironment = Code(description: "invalidEnvironment")
    /// The system failed the loop: its poller, or a descriptor that it needs. The sentence has the system's error.
    public static let systemFailure = Code(description: "systemFailure")

    /// Lets `catch EventLoopError.Code.closed` match, as `catch EventLoopError.closed` does.
    public static func ~= (pattern: Code, error: any Error) -> Bool { (error as? EventLoopError)?.code == pattern }
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
}

/// One of each kind, to throw and to match.
extension EventLoopError {
  /// The loop is closed.
  public static let closed = EventLoopError(.closed, "the event loop is closed")
  /// A loop already runs, this one or another on the same thread.
  public static let alreadyRunning = EventLoopError(.alreadyRunning, "an event loop is already running on this thread")
  /// The loop was stopped before the awaited work was done.
  public static let stoppedBeforeComplete = EventLoopError(
    .stoppedBeforeComplete, "the event loop was stopped before the work was done")
  /// The program was asked to end, by SIGINT or SIGTERM.
  public static let interrupted = EventLoopError(.interrupted, "interrupted by a signal")
  /// The argument belongs to another loop.
  public static let foreignLoop = EventLoopError(.foreignLoop, "the future belongs to another event loop")
  /// The descriptor belongs to a transport, or is watched already.
  public static let descriptorInUse = EventLoopError(.descriptorInUse, "the descriptor is in use")
  /// The future already has an outcome, or the reader a task that reads.
  public static let invalidState = EventLoopError(.invalidState, "the future already has an outcome")
  /// An argument is of no use here.
  public static let invalidArgument = EventLoopError(.invalidArgument, "an argument is of no use here")
  /// The server is closed, or serves already.
  public static let serverState = EventLoopError(.serverState, "the server is closed, or serves already")
  /// The signal is none, or one that nobody can handle.
  public static let invalidSignal = EventLoopError(.invalidSignal, "the signal is none, or one that nobody can handle")
  /// Another loop of the process handles the signal.
  public static let signalInUse = EventLoopError(.signalInUse, "another event loop of the process handles the signal")
  /// The kernel cannot send this file to this socket by itself, and the caller refused the fallback.
  public static let sendFileNotAvailable = EventLoopError(
    .sendFileNotAvailable, "the kernel cannot send the file by itself")
  /// The transport is closing, or its write side was ended.
  public static let transportState = EventLoopError(
    .transportState, "the transport is closing, or its write side was ended")
  /// The executor was shut down, and takes no more work.
  public static let executorShutDown = EventLoopError(.executorShutDown, "the executor was shut down")
  /// The queue was shut down; so is a ``Watch``. asyncio's `QueueShutDown`.
  public static let queueShutDown = EventLoopError(.queueShutDown, "the queue was shut down")
  /// A variable of the environment that a service manager or a predecessor sets makes no sense.
  public static let invalidEnvironment = EventLoopError(
    .invalidEnvironment, "a variable of the environment makes no sense")
  /// The barrier was aborted or reset. asyncio's `BrokenBarrierError`.
  public static let brokenBarrier = EventLoopError(.brokenBarrier, "the barrier was aborted or reset")
  /// The system failed the loop: its poller, or a descriptor that it needs.
  public static let systemFailure = EventLoopError(.systemFailure, "the system failed the event loop")
}
