// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// What a loop does to a process whose main thread it runs on. Each test is a run of the probe, whose source is among
/// the fixtures.
@Suite struct MainThreadTests {
  private static let everything = [
    "body", "Task", "Task on MainActor", "detached task", "loop's task", "default actor", "concurrent function",
    "MainActor function", "MainActor.run", "concurrent function", "after Task.sleep", "Task after Task.sleep",
    "MainActor after Task.sleep", "end",
  ]

  @Test("adoption .all: one program, one thread")
  func adoptsAll() async throws {
    let run = try await ProbeRun.run("places", "all")
    #expect(run.lines == MainThreadTests.everything.map { "\($0): main" } + ["done"])
    #expect(run.status == 0)
  }

  @Test(
    "adoption .mainActor and .none: MainActor and the loop's work are on the main thread, plain tasks on Swift's",
    arguments: ["mainActor", "none"])
  func adoptsLess(_ adoption: String) async throws {
    let run = try await ProbeRun.run("places", adoption)
    let elsewhere: Set<String> = ["Task", "detached task", "Task after Task.sleep"]
    let expected = MainThreadTests.everything.map { "\($0): \(elsewhere.contains($0) ? "other" : "main")" }
    #expect(run.lines == expected + ["done"])
    #expect(run.status == 0)
  }

  @Test(
    "no work of a loop's tasks, Task.sleep included, calls for other threads",
    arguments: ["all", "mainActor", "none"])
  func noThreads(_ adoption: String) async throws {
    let run = try await ProbeRun.run("threads", adoption)
    let counts = run.lines.filter { $0.last?.isNumber == true }
    let expected = [
      "createTask", "task group", "async let", "default actor", "loop.sleep", "Task.sleep", "cancelled Task.sleep",
    ]
    #expect(counts == expected.map { "\($0): 0" })
    #expect(run.lines.last == "done")
  }

  @Test("a second run takes over what waits for a main loop")
  func runsTwice() async throws {
    let run = try await ProbeRun.run("twice")
    #expect(
      run.lines == [
        "first run: main", "task made between the runs: main", "second run: main", "sleep begun between the runs: main",
        "MainActor in the second run: main", "done",
      ])
    #expect(run.status == 0)
  }

  @Test("later runs may adopt more, and never give back")
  func adoptsMoreLater() async throws {
    let run = try await ProbeRun.run("upgrade")
    #expect(
      run.lines == [
        "Task with none: other", "Task with mainActor: other", "Task with all: main", "Task with none: main", "done",
      ])
  }

  @Test(
    "modules whose default isolation is MainActor use a loop as any other", arguments: ["all", "mainActor", "none"])
  func mainActorModule(_ adoption: String) async throws {
    let run = try await ProbeRun.run("mainActorModule", adoption)
    #expect(run.lines == ["count: 5", "done"])
    #expect(run.status == 0)
  }

  @Test(
    "an eager task of MainActor's begins at once and runs to its first suspension, from a task, a callback and another one",
    arguments: ["all", "mainActor"])
  func eagerMainActorTasks(_ adoption: String) async throws {
    let run = try await ProbeRun.run("eagerTasks", adoption)
    #expect(
      run.lines == [
        "from a task begins", "from a task was started", "from a task goes on",
        "from a callback begins", "from a callback was started", "next callback", "from a callback goes on",
        "outer begins", "inner begins", "inner was started", "outer waits", "outer was started", "inner goes on",
        "outer ends",
        "without a wait it is done: true", "and so is one that throws: true, true",
        "and one around another: true, true",
        "done",
      ])
    #expect(run.status == 0)
  }

  @Test("the body's error comes out of run on the main thread too")
  func bodyThrows() async throws {
    let run = try await ProbeRun.run("throws")
    #expect(run.lines == ["threw BodyFailure()", "done"])
  }

  @Test("the first SIGINT cancels the body, and run throws .interrupted")
  func interrupt() async throws {
    let run = try await ProbeRun.run("interrupt", "cancelled", interruptAt: ["ready"])
    #expect(run.lines == ["ready", "body: true", "run threw interrupted", "restored: true", "done"])
    #expect(run.status == 0)
  }

  @Test("an error that the body answers SIGINT with comes out as it is")
  func interruptAnswered() async throws {
    let run = try await ProbeRun.run("interrupt", "other error", interruptAt: ["ready"])
    #expect(run.lines == ["ready", "run threw Other()", "restored: true", "done"])
  }

  @Test("after SIGINT the tasks that are left are cancelled and awaited")
  func interruptLeftovers() async throws {
    let run = try await ProbeRun.run("interrupt", "leftover", interruptAt: ["ready"])
    #expect(run.lines == ["ready", "leftover: true", "run threw interrupted", "restored: true", "done"])
  }

  @Test("SIGINT ends the wait for work that the default executor is stuck in")
  func interruptExecutor() async throws {
    let run = try await ProbeRun.run("interrupt", "busy executor", interruptAt: ["waiting for the executor"])
    #expect(run.lines == ["ready", "waiting for the executor", "run returned", "restored: true", "done"])
    #expect(run.status == 0)
  }

  @Test("the second SIGINT ends a program that ignores the first")
  func secondInterrupt() async throws {
    let run = try await ProbeRun.run("interrupt", "ignored", interruptAt: ["ready", "ignored"])
    #expect(run.lines == ["ready", "ignored"])
    #expect(run.wasKilledBy == SIGINT)
  }

  @Test("a program's own handler of SIGINT stays")
  func ownHandler() async throws {
    let run = try await ProbeRun.run("handler")
    #expect(run.lines == ["ready", "own handler", "went on", "done"])
  }

  @Test("inside a run a handler for SIGINT takes the place of the run's own, and gives it back")
  func handlerWins() async throws {
    let run = try await ProbeRun.run(
      "signals", "handler wins", interruptAt: ["handling", "own handler 1", "own handler 2", "ready"])
    #expect(
      run.lines == [
        "handling", "own handler 1", "own handler 2", "own handler 3", "ready", "run threw interrupted",
        "restored: true", "done",
      ])
  }

  @Test("so may a handler of another loop, on another thread")
  func otherLoopWins() async throws {
    let run = try await ProbeRun.run("signals", "other loop", interruptAt: ["handling", "ready"])
    #expect(
      run.lines == [
        "handling", "other loop's handler", "ready", "run threw interrupted", "restored: true", "done",
      ])
  }

  @Test("a child that was forked dies of a signal that its parent handles, and the parent hears nothing of it")
  func forkedChild() async throws {
    let run = try await ProbeRun.run("signals", "forked")
    #expect(run.lines == ["child: died of SIGTERM", "parent: 0 calls", "parent: 1 calls", "done"])
  }

  @Test("a program that ignores SIGINT goes on to ignore it, but for the time that it has a handler for it")
  func ignoredInterrupt() async throws {
    let run = try await ProbeRun.run("signals", "ignored")
    #expect(run.lines == ["went on", "handled", "done"])
    #expect(run.status == 0)
  }
}
