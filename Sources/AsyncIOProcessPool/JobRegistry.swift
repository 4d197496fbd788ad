// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Synchronization

/// The jobs that this process can do for another.
enum JobRegistry {
  typealias Runner = @Sendable (ArraySlice<UInt8>) throws -> [UInt8]

  /// By name; nil as long as nobody has registered any, which says that this program cannot be a worker.
  private static let runners = Mutex<[String: Runner]?>(nil)

  static func register(_ jobs: [any ProcessJob.Type]) {
    let added = jobs.map { ($0.jobName, runner(for: $0)) }
    for (name, _) in added {
      require(
        !name.isEmpty && name.utf8.count <= Frame.nameLimit && !name.contains("(unknown context at "),
        "ProcessJob: \"\(name)\" has no name that is the same in every process; give it a jobName")
    }
    runners.withLock { $0 = ($0 ?? [:]).merging(added) { $1 } }
  }

  private static func runner<Job: ProcessJob>(for type: Job.Type) -> Runner {
    { bytes in try Coding.encode(Coding.decode(Job.self, from: bytes).run()) }
  }

  static var isEmpty: Bool { runners.withLock { $0 == nil } }

  static var names: [String] { runners.withLock { ($0 ?? [:]).keys.sorted() } }

  static func runner(named name: String) -> Runner? { runners.withLock { $0?[name] } }
}
