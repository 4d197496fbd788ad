// SPDX-License-Identifier: Apache-2.0

/// Ways round the isolation of a loop, each of which was a data race in a program that compiled.
extension SnippetProgram {
  /// By the loop of the thread, which the compiler sees no connection to.
  static let runningLoop: [SnippetProgram] = [
    SnippetProgram(
      "state that the running loop shares", in: .file,
      rejected: """
        nonisolated static func share() {
          let x = Shared()
          EventLoop.withRunning { loop in _ = loop.callSoon { x.hit() } }
          Task.detached { x.hit() }
        }
        """,
      accepted: """
        nonisolated static func share() {
          let x = Shared()
          EventLoop.withRunning { loop in _ = loop.callSoon { x.hit() } }
        }
        """, Complaint.sending),
    SnippetProgram(
      "the running loop by a variable", in: .file,
      rejected: """
        nonisolated static func leak() {
          var kept: EventLoop?
          EventLoop.withRunning { kept = $0 }
          Task.detached { kept?.debug = true }
        }
        """,
      accepted: """
        nonisolated static func leak() {
          EventLoop.withRunning { $0.debug = true }
        }
        """, Complaint.sending),
    SnippetProgram(
      "the running loop by an object", in: .file,
      rejected: """
        nonisolated static func leak() {
          let box = Shared()
          EventLoop.withRunning { box.content = $0 }
          Task.detached { box.hit() }
        }
        """,
      accepted: """
        nonisolated static func leak() {
          let box = Shared()
          EventLoop.withRunning { box.content = $0 }
        }
        """, Complaint.sending),
    SnippetProgram(
      "the running loop as a result", rejected: "let found = EventLoop.withRunning { $0 }; print(found as Any)",
      accepted: "let found = EventLoop.withRunning { $0.remote }; print(found as Any)", Complaint.sendableResult),
    SnippetProgram(
      "a future of the running loop as a result",
      rejected: "let found = EventLoop.withRunning { Future<Int>($0) }; print(found as Any)",
      accepted: "let found = EventLoop.withRunning { Future<Int>($0).isDone }; print(found as Any)",
      Complaint.sendableResult),
    SnippetProgram(
      "the running loop in a detached task",
      rejected: "EventLoop.withRunning { l in _ = Task.detached { l.debug = true } }",
      accepted: "EventLoop.withRunning { l in _ = l.callSoon { l.debug = true } }", Complaint.sending),
    SnippetProgram(
      "the running loop in a property", in: .file,
      rejected: "nonisolated static var theLoop: EventLoop { EventLoop.withRunning { $0 }! }",
      accepted: "nonisolated static var theLoop: RemoteLoop { EventLoop.withRunning { $0.remote }! }",
      Complaint.sendableResult),
  ]

  /// Out of a loop's task, whose state stays on the loop.
  static let tasks: [SnippetProgram] = [
    inTask("Task.immediate", "Task.immediate { x.hit() }", "Task.immediate { try remote.stop() }"),
    inTask("an unstructured task", "Task { x.hit() }", "Task { try remote.stop() }"),
    inTask(
      "async let", "async let done: Void = x.hit(); x.hit(); await done", "async let done = 1; x.hit(); _ = await done"),
    inTask(
      "a child task", "await withTaskGroup { group in group.addTask { x.hit() } }",
      "await withTaskGroup { group in group.addTask { try? remote.stop() } }"),
    inTask("a concurrent function", "await leave(x)", "await stay(x)"),
    inTask(
      "a concurrent requirement of an existential", "let p: any Leaver = Away(); await p.leave(x)", "await stay(x)"),
    inTask(
      "a concurrent requirement of a generic type",
      "func by<L: Leaver>(_ leaver: L) async { await leaver.leave(x) }; await by(Away())", "await stay(x)"),
    inTask("an actor's parameter", "await visit(keeper, x)", "await stay(x)"),
    inTask("another actor's method", "await keeper.keep(x)", "await keeper.keep(1)"),
    inTask(
      "the door of another loop", "try remote.callSoonThreadsafe { _ in x.hit() }",
      "try remote.callSoonThreadsafe { $0.stop() }"),
    inTask(
      "a body that is sent to another loop", "try await remote.run { _ in x.hit() }",
      "try await remote.run { $0.stop() }"),
  ]

  /// A task of a loop that runs on any thread, with an object `x` that the code around it shares.
  private static func inTask(_ name: String, _ rejected: String, _ accepted: String) -> SnippetProgram {
    func program(_ code: String) -> String {
      """
      nonisolated static func share(_ loop: EventLoop, _ keeper: Keeper, _ remote: RemoteLoop) {
        let x = Shared()
        loop.createTask { \(code) }
        loop.createTask { x.hit() }
      }
      """
    }
    return SnippetProgram(
      "\(name) in a task of a loop", in: .file, rejected: program(rejected), accepted: program(accepted),
      Complaint.sending)
  }
}
