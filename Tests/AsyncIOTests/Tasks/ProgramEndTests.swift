// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// How whole programs end, as their shell sees it.
@Suite struct ProgramEndTests {
  @Test("a program that returns ends with status 0, and one that throws with status 1 and a sentence")
  func withoutSignals() async throws {
    let fine = try await ProbeRun.run("ending", "returns")
    #expect(fine.lines == ["the end"] && fine.status == 0 && fine.wasKilledBy == nil && fine.errors == "")
    let failed = try await ProbeRun.run("ending", "fails")
    #expect(failed.lines == ["the end"] && failed.status == 1 && failed.wasKilledBy == nil)
    #expect(failed.errors == "MainThreadProbe: there is no such thing\n")
  }

  @Test(
    "SIGINT and SIGTERM cancel the body, let all that is left end, and then end the process; what it printed is out",
    arguments: [SIGINT, SIGTERM])
  func signals(_ signal: Int32) async throws {
    let run = try await ProbeRun.run("ending", "cancelled", interruptAt: ["ready"], by: signal)
    #expect(run.lines == ["ready", "body: cleaned up", "task: true"])
    #expect(run.wasKilledBy == signal && run.errors == "")
  }

  @Test("a body that answers the signal with a result ends the program as usual", arguments: [SIGINT, SIGTERM])
  func answered(_ signal: Int32) async throws {
    let run = try await ProbeRun.run("ending", "answered", interruptAt: ["ready"], by: signal)
    #expect(run.lines == ["ready", "said good-bye"] && run.status == 0 && run.wasKilledBy == nil)
  }

  @Test("the second signal ends a program that ignores the first", arguments: [SIGINT, SIGTERM])
  func secondSignal(_ signal: Int32) async throws {
    let run = try await ProbeRun.run("ending", "ignored", interruptAt: ["ready", "ignored"], by: signal)
    #expect(run.lines == ["ready", "ignored"] && run.wasKilledBy == signal)
  }

  @Test("signals that are left to the program do what they do anywhere", arguments: [SIGINT, SIGTERM])
  func unhandled(_ signal: Int32) async throws {
    let run = try await ProbeRun.run("ending", "unhandled", interruptAt: ["ready"], by: signal)
    #expect(run.lines == ["ready"] && run.wasKilledBy == signal)
  }

  @Test("a run that is to throw does so for SIGTERM too, and the signal is the system's again")
  func throwsForTermination() async throws {
    let run = try await ProbeRun.run("interrupt", "cancelled", interruptAt: ["ready"], by: SIGTERM)
    #expect(run.lines == ["ready", "body: true", "run threw interrupted", "restored: true", "done"])
  }
}
