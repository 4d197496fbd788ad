// SPDX-License-Identifier: Apache-2.0
import Testing

/// Programs that the compiler must reject: one loop, one thread, and no byte beyond its time.
@Suite struct RejectedProgramTests {
  /// What the compiler says of all of them, which few calls of it find out.
  private static let rejections = Task {
    try await SnippetProgram.rejections(of: SnippetProgram.allRejected, .nonisolated)
  }

  /// The same where all is the main actor's by default.
  private static let mainActorRejections = Task {
    let programs = SnippetProgram.allRejected.filter { $0.mainActorComplaint != nil }
    // After the others: two compilers at a time are enough for a machine that has tests to run.
    _ = await rejections.result
    return try await SnippetProgram.rejections(of: programs, .mainActor)
  }

  private func expectRejected(_ program: SnippetProgram) async throws {
    let name = program.testDescription
    try check(program, try await Self.rejections.value[name], for: program.complaint)
    if let complaint = program.mainActorComplaint {
      try check(program, try await Self.mainActorRejections.value[name], for: complaint)
    }
  }

  private func check(_ program: SnippetProgram, _ errors: [String]?, for complaint: String) throws {
    let errors = try #require(errors, "compiles: \(program.rejected)")
    let pattern = try Regex(complaint)
    #expect(errors.allSatisfy { $0.contains(pattern) }, "\(program.rejected)")
  }

  @Test("what belongs to a loop does not leave it", arguments: SnippetProgram.sentAway)
  func sentAway(program: SnippetProgram) async throws { try await expectRejected(program) }

  @Test("the loop of the thread is lent, and nothing gets out by it", arguments: SnippetProgram.runningLoop)
  func runningLoop(program: SnippetProgram) async throws { try await expectRejected(program) }

  @Test("what a loop's tasks share stays with them", arguments: SnippetProgram.tasks)
  func tasks(program: SnippetProgram) async throws { try await expectRejected(program) }

  @Test("nothing of a loop is used from two sides at once", arguments: SnippetProgram.concurrentUse)
  func concurrentUse(program: SnippetProgram) async throws { try await expectRejected(program) }

  @Test("the door for other threads lets nothing through but what is sent", arguments: SnippetProgram.throughTheDoor)
  func throughTheDoor(program: SnippetProgram) async throws { try await expectRejected(program) }

  @Test("received bytes are not kept", arguments: SnippetProgram.borrowedBytes)
  func borrowedBytes(program: SnippetProgram) async throws { try await expectRejected(program) }

  @Test("arguments that exclude each other are not given together", arguments: SnippetProgram.arguments)
  func arguments(program: SnippetProgram) async throws { try await expectRejected(program) }
}
