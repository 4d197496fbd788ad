// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Misuse that ends the program, with a sentence that says what to do. Each test is a process of its own.
@Suite struct MisuseTests {
  private func says(_ result: ExitTest.Result?, _ text: String) -> Bool {
    guard let result else { return false }
    return String(decoding: result.standardErrorContent, as: UTF8.self).contains(text)
  }

  @Test("close() of a running loop")
  func closeWhileRunning() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let loop = try EventLoop()
      loop.callSoon { loop.close() }
      try loop.runForever()
    }
    #expect(says(result, "EventLoop.close(): the loop is running"))
  }

  enum Call: String, CaseIterable, Codable, Sendable {
    case callSoon, callAt, createTask
  }

  @Test("calls on a closed loop that cannot throw", arguments: Call.allCases)
  func closed(_ call: Call) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [call = call as Call] in
      let loop = try EventLoop()
      loop.close()
      switch call {
      case .callSoon: loop.callSoon {}
      case .callAt: loop.callLater(.zero) {}
      case .createTask: loop.createTask {}
      }
    }
    #expect(says(result, "EventLoop.\(call.rawValue): the event loop is closed"))
  }

  @Test("calls from a foreign thread, which the compiler has been talked out of seeing", arguments: [false, true])
  func foreignThread(_ debug: Bool) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [debug = debug as Bool] in
      let loop = try EventLoop()
      loop.debug = debug
      let leaked = LoopBound(loop)
      loop.callSoon { TestThread { leaked.value.callSoon {} }.join() }
      try loop.runForever()
    }
    #expect(says(result, "EventLoop.callSoon: called from another thread than the loop's own; use loop.remote"))
  }

  private actor Owner {
    func run() throws { try EventLoop.run { _ in } }
  }

  @Test("a run inside an actor, which would wait for itself")
  func runInActor() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try await Owner().run()
    }
    #expect(says(result, "EventLoop.run: called in Owner, an actor that the body would wait for"))
  }

  @Test("a call of a transport's from a foreign thread is named as the transport's")
  func foreignTransport() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
        let leaked = LoopBound(recorder.transport)
        TestThread { leaked.value.writeLines([[1]]) }.join()
      }
    }
    #expect(says(result, " StreamTransport.writeLines: called from another thread than the loop's own"))
  }
}
