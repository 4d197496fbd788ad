// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// Every public call that awaits, cancelled at every moment. Those of `Coordination` have a suite of their own beside their tests.
@Suite("A call that is cancelled") struct CancellationTests {
  enum Moment: CaseIterable {
    case beforeItBegins, whileItWaits, fromAnotherThread
    /// In a task that is not the loop's own.
    case foreignTaskFromAnotherThread
    /// So many turns of the loop after what it waits for has come.
    case afterCompletion0, afterCompletion1, afterCompletion2, afterCompletion3

    var turnsAfterCompletion: Int? {
      switch self {
      case .afterCompletion0: 0
      case .afterCompletion1: 1
      case .afterCompletion2: 2
      case .afterCompletion3: 3
      default: nil
      }
    }
  }

  static let calls = [taskCalls, networkCalls, connectingCalls, streamCalls, processCalls].flatMap { $0 }

  @Test(
    "it ends at once, with its result or a CancellationError; no data is lost, and no descriptor, child, task or timer left",
    arguments: calls, Moment.allCases)
  func moments(_ call: AwaitedCall, _ moment: Moment) throws {
    try runProcessLoop { loop, kernel in
      let errors = loop.collectErrors()
      // Whatever the first call of a loop makes for good is there from here on.
      try await loop.runInExecutor {}
      let before = Books(loop, kernel)
      var prepared = try await call.prepare(loop, kernel)
      var isComplete = false
      let task = try await cancel(&prepared, at: moment, &isComplete, loop)
      let ended = "\(call.name) ends"
      if prepared.isShielded {
        try await loop.turn()
        #expect(task.isDone == isComplete)
        if !isComplete { try await prepared.complete?() }
        isComplete = true
      }
      try await loop.until("\(ended)") { task.isDone }
      switch await task.outcome {
      case .success:
        #expect(isComplete || !prepared.waits, "it returned without what it waits for")
        try await prepared.check(CancelledCall(returned: true, isComplete: isComplete))
      case .failure(let error):
        #expect(error is CancellationError && !prepared.isShielded)
        try await prepared.check(CancelledCall(returned: false, isComplete: isComplete))
      }
      prepared = PreparedCall(call: {})
      try await loop.until("\(call.name) leaves nothing: \(Books(loop, kernel)) rather than \(before)") {
        Books(loop, kernel).isWithin(before)
      }
      #expect(errors.messages == [])
    }
  }

  /// Has the call made by a task, and cancels that.
  private func cancel(
    _ prepared: inout PreparedCall, at moment: Moment, _ isComplete: inout Bool, _ loop: EventLoop
  ) async throws -> LoopTask<Void> {
    let call = prepared.call
    let task: LoopTask<Void>
    let cancel: @Sendable () -> Void
    if moment == .foreignTaskFromAnotherThread {
      let bound = LoopBound(call)
      let native = Task(executorPreference: loop.taskExecutor) { try await bound.value() }
      cancel = { native.cancel() }
      task = loop.createTask { try await native.value }
    } else {
      task = loop.createTask(call)
      let remote = task.remote
      cancel = { remote.cancel() }
    }
    if moment == .beforeItBegins {
      task.cancel()
      return task
    }
    if prepared.waits {
      try await loop.turn(5)
      #expect(!task.isDone, "it does not wait")
    } else {
      try await loop.turn(1)
    }
    if let turns = moment.turnsAfterCompletion {
      if let complete = prepared.complete {
        try await complete()
        isComplete = true
      }
      try await loop.turn(turns)
      task.cancel()
    } else if moment == .whileItWaits {
      task.cancel()
    } else {
      await TestThread { cancel() }.ended()
    }
    return task
  }

  /// What a call must not leave behind.
  private struct Books: CustomStringConvertible {
    let descriptors: Set<Int32>
    let children: Set<Int32>
    let tasks: Int
    let timers: Int
    let watched: Int

    init(_ loop: EventLoop, _ kernel: TestKernel) {
      descriptors = kernel.openDescriptors
      children = kernel.children.current
      tasks = loop.allTasks.count
      timers = loop.core.timers.count
      watched = loop.readiness.watchedCount
    }

    func isWithin(_ before: Books) -> Bool {
      descriptors.isSubset(of: before.descriptors) && children.isSubset(of: before.children) && tasks <= before.tasks
        && timers <= before.timers && watched <= before.watched
    }

    var description: String {
      "\(descriptors.count) descriptors, \(children.count) children, \(tasks) tasks, \(timers) timers, \(watched) watched"
    }
  }

  @Test("every public call that awaits is among those that are cancelled")
  func completeness() throws {
    // `CancellationMomentTests` has these, and `ServiceManagerTests` and `SuccessorTests` those that need a manager, or a
    // program, of their own.
    let others: Set = [
      "EventLoop.notifyServiceManager", "EventLoop.startSuccessor",
      "Broadcast.next", "Condition.wait", "Condition.withLock", "Event.wait", "Lock.acquire", "Lock.withLock",
      "Queue.get",
      "Queue.join", "Queue.next", "Queue.put", "Semaphore.acquire", "Semaphore.withPermit", "Watch.next", "Watch.wait",
    ]
    let covered = Set(CancellationTests.calls.map(\.covered)).union(others)
    let calls = try PublicCalls.awaiting()
    #expect(calls.count > 80)
    #expect(calls.subtracting(covered).sorted() == [], "no test cancels these")
    #expect(covered.subtracting(calls).sorted() == [], "there are no such calls")
  }
}

/// The public calls of the library that await, each as its type, after which its file is named, and its name.
enum PublicCalls {
  static func awaiting() throws -> Set<String> {
    let root = URL(filePath: #filePath).appending(path: "../../../../Sources").standardizedFileURL
    var found: Set<String> = []
    for module in ["AsyncIO", "AsyncIOProcessPool"] {
      let folder = root.appending(path: module)
      for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path) where path.hasSuffix(".swift") {
        let file = folder.appending(path: path)
        let name = file.deletingPathExtension().lastPathComponent.prefix { $0 != "+" }
        for call in awaiting(in: try String(contentsOf: file, encoding: .utf8)) { found.insert("\(name).\(call)") }
      }
    }
    return found
  }

  private static func awaiting(in text: String) -> [String] {
    let functions = text.matches(of: /\n *public (final |mutating |override |static )*func (?<name>\w+)[^(]*/)
      .filter { match in
        var depth = 0
        // What stands behind the parameters, whose own types may be async.
        let end = text[match.range.upperBound...].firstIndex { character in
          depth += character == "(" ? 1 : character == ")" ? -1 : 0
          return depth == 0
        }
        return end.map { text[$0...].starts(with: /\)\s*async/) } ?? false
      }
      .map { String($0.output.name) }
    let properties = text.matches(of: /\n *public (final )?var (?<name>\w+):[^{]*\{\s*get async/)
    return functions + properties.map { String($0.output.name) }
  }
}
