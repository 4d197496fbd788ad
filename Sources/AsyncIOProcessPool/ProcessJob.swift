// SPDX-License-Identifier: Apache-2.0

/// Work that a ``ProcessPoolExecutor`` does in another process: a value that is sent there, and runs.
///
/// ```swift
/// struct Square: ProcessJob {
///   var number: Int
///   func run() -> Int { number * number }
/// }
/// ```
///
/// Job and output travel as JSON: what their `Codable` leaves out is lost, and an object that occurs twice arrives as
/// two. Floating-point numbers that are none, and infinite ones, arrive as they were.
public protocol ProcessJob: Codable, Sendable {
  /// What the job returns.
  associatedtype Output: Codable & Sendable

  /// The name under which both processes know the job: the type's full name by default.
  ///
  /// A type without a name that is the same in every process, such as one inside a function, has to give one.
  static var jobName: String { get }

  /// Does the work, on the main thread of a worker process. It may block, and keep that process busy, for as long as it
  /// likes.
  ///
  /// What it throws arrives as a ``RemoteJobError``.
  func run() throws -> Output
}

extension ProcessJob {
  /// The type's full name.
  public static var jobName: String { String(reflecting: Self.self) }
}
