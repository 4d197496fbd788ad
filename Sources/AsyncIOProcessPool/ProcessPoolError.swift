// SPDX-License-Identifier: Apache-2.0

/// An error that a job threw in its worker process.
public struct RemoteJobError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
  /// The full name of the error's type.
  public let typeName: String
  /// What the error says of itself.
  public let message: String

  /// The message and the type.
  public var description: String { "\(message) (\(typeName), in a worker process)" }
}

/// A job that a pool of processes could not have done. concurrent.futures' `BrokenProcessPool`, and others.
public struct ProcessPoolError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of error it is.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    /// The code's name.
    public let description: String

    /// The worker process ended while it did the job.
    public static let workerDied = Code(description: "workerDied")
    /// No worker process could be started.
    public static let startFailed = Code(description: "startFailed")
    /// The worker does not know the job's type.
    public static let unregisteredJob = Code(description: "unregisteredJob")
    /// The pool was shut down.
    public static let shutDown = Code(description: "shutDown")
    /// The program did not call ``ProcessPoolExecutor/serveIfWorker(_:)``.
    public static let notServing = Code(description: "notServing")
    /// The job or its output is too large to be sent.
    public static let tooLarge = Code(description: "tooLarge")

    /// Lets `catch ProcessPoolError.Code.workerDied` match.
    public static func ~= (pattern: Code, error: any Error) -> Bool { (error as? ProcessPoolError)?.code == pattern }
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
  public static func == (a: ProcessPoolError, b: ProcessPoolError) -> Bool { a.code == b.code }
  /// Hashes the kind.
  public func hash(into hasher: inout Hasher) { hasher.combine(code) }

  static let shutDown = ProcessPoolError(.shutDown, "the pool of processes was shut down")
  static let tooLarge = ProcessPoolError(.tooLarge, "a job or its output is longer than \(Frame.limit) bytes")

  static let nameTooLong = ProcessPoolError(
    .unregisteredJob, "a job's name has more than \(Frame.nameLimit) bytes: no worker can know it")

  static func unregistered(_ job: String) -> ProcessPoolError {
    ProcessPoolError(.unregisteredJob, "\(job) is not among the jobs that serveIfWorker was called with")
  }
}
