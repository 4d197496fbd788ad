// SPDX-License-Identifier: Apache-2.0

extension EventLoop {
  /// How ``EventLoop/run(_:isolation:_:)`` sets up a loop and the process around it.
  public struct Configuration: Sendable {
    /// Which parts of Swift's concurrency run on the main thread's loop.
    public enum Adoption: Int, Comparable, Sendable {
      /// Nothing is replaced. `MainActor` still runs on the main thread, by way of libdispatch's main queue.
      case none
      /// `MainActor` alone; unstructured tasks and default actors stay on Swift's own threads.
      case mainActor
      /// `MainActor`, unstructured tasks and default actors: one program, one thread.
      case all

      /// The more is adopted, the greater.
      public static func < (a: Adoption, b: Adoption) -> Bool { a.rawValue < b.rawValue }
    }

    /// What happens when somebody asks the program to end: Ctrl-C on a terminal is SIGINT, a service manager sends SIGTERM.
    public enum TerminationSignals: Sendable {
      /// The first signal cancels the body. Once that and all that is left have ended, the process ends by the signal:
      /// a shell sees 130 or 143. A second signal ends it at once.
      ///
      /// A body that answers the cancellation with a result or an error of its own has the run return or throw that.
      case endProcess
      /// The same, but the run throws ``EventLoopError`` `.interrupted`, and the process goes on.
      case throwError
      /// They are left to the program.
      case unhandled
    }

    /// Which parts of the process the loop adopts, when it runs on the main thread. The first adoption lasts as long
    /// as the process.
    public var adoption = Adoption.all
    /// Debug mode; nil leaves it to the environment variable `ASYNCIODEBUG`.
    public var debug: Bool?
    /// What SIGINT and SIGTERM do to a program on the main thread, unless it handles or ignores them by itself.
    public var terminationSignals = TerminationSignals.endProcess
    /// How long the end of the run waits for work in the default executor; nil for as long as it takes, zero for not at
    /// all. What is left then is abandoned.
    public var executorShutdownTimeout: Duration? = .seconds(300)

    /// The usual configuration.
    public init() {}
  }
}
