// SPDX-License-Identifier: Apache-2.0

/// The executor on which a Swift job was enqueued, whose method has to run it. A job that comes with a delay is the
/// runtime's own, made to end a `Task.sleep`: it is nobody's.
enum JobExecutor: UInt8 {
  case task, serial, adoptedMain, adoptedDefault, nobody
}

/// A Swift job that its loop has not run.
struct LeftJob: Sendable {
  let job: UnownedJob
  let executor: JobExecutor
  /// How much of a delay was left; nil where it came without one.
  let delay: Duration?
}
