// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import AsyncIO

@Suite struct ExceptionHandlerTests {
  @Test("without a custom handler, message and error are logged")
  func defaultHandler() throws {
    try withLoop { loop, kernel in
      let error = TestError(number: 46_046)
      loop.callExceptionHandler(ExceptionContext(message: "message of 46", error: error))
      let lines = CapturedLog.matching("message of 46")
      #expect(lines.count == 1)
      #expect(lines.first?.hasPrefix("error: ") == true)
      #expect(lines.first?.contains("\(error)") == true)
    }
  }

  @Test("a callback's failure comes with message, error and handle, in debug mode with its place")
  func context() throws {
    try withLoop { loop, kernel in
      let errors = loop.collectErrors()
      loop.debug = false
      let plain = loop.callSoon { throw TestError(number: 1) }
      loop.debug = true
      let line: UInt = #line + 1
      let traced = loop.callSoon { throw TestError(number: 2) }
      let timer = loop.callLater(.zero) { throw TestError(number: 3) }
      try turn(loop)
      #expect(errors.contexts.count == 3)
      for (context, handle) in zip(errors.contexts, [plain, traced, Handle(timer)]) {
        #expect(context.handle == handle)
        #expect(!context.message.isEmpty)
      }
      #expect(errors.contexts[0].callSite == nil && plain.callSite == nil)
      #expect(errors.contexts[1].callSite?.line == line)
      #expect(errors.contexts[1].callSite?.file.hasSuffix("ExceptionHandlerTests.swift") == true)
      #expect(errors.contexts[2].callSite?.line == line + 1)
      #expect(errors.contexts[1].description.contains("ExceptionHandlerTests.swift:\(line)"))
    }
  }

  @Test("Places are the same when file and line are")
  func callSites() {
    let place = CallSite("A/B.swift", 3)
    #expect(place == CallSite("A/B.swift", 3) && place.hashValue == CallSite("A/B.swift", 3).hashValue)
    #expect(place != CallSite("A/C.swift", 3) && place != CallSite("A/B.swift", 4))
    #expect(place.description == "A/B.swift:3")
  }

  @Test("a custom handler gets loop and context and replaces the logging; nil restores it")
  func customHandler() throws {
    try withLoop { loop, kernel in
      #expect(loop.getExceptionHandler() == nil)
      var calls = 0
      loop.setExceptionHandler { handlersLoop, context in
        #expect(handlersLoop === loop)
        #expect(context.message == "message of 48")
        calls += 1
      }
      #expect(loop.getExceptionHandler() != nil)
      loop.callExceptionHandler(ExceptionContext(message: "message of 48"))
      #expect(calls == 1)
      #expect(CapturedLog.matching("message of 48").isEmpty)
      loop.setExceptionHandler(nil)
      #expect(loop.getExceptionHandler() == nil)
      loop.callExceptionHandler(ExceptionContext(message: "message of 48"))
      #expect(calls == 1)
      #expect(CapturedLog.matching("message of 48").count == 1)
    }
  }

  @Test("when the custom handler throws, one line tells of both errors, and the loop goes on")
  func throwingHandler() throws {
    try withLoop { loop, kernel in
      loop.setExceptionHandler { _, _ in throw TestError(number: 49_002) }
      var ran = false
      loop.callSoon { throw TestError(number: 49_001) }
      loop.callSoon { ran = true }
      try turn(loop)
      #expect(ran)
      let lines = CapturedLog.matching("49001")
      #expect(lines.count == 1)
      #expect(lines.first?.contains("49002") == true)
      #expect(CapturedLog.matching("49002").count == 1)
    }
  }

  @Test("the handler may replace itself, and schedule")
  func handlerChangesHandler() throws {
    try withLoop { loop, kernel in
      var order: [String] = []
      loop.setExceptionHandler { loop, _ in
        order.append("first")
        loop.setExceptionHandler { _, _ in order.append("second") }
        loop.callSoon { throw TestError() }
      }
      loop.callSoon { throw TestError() }
      try turn(loop)
      try turn(loop)
      #expect(order == ["first", "second"])
      loop.setExceptionHandler(nil)
    }
  }

  @Test("debug mode is set and read back; it begins as the environment says")
  func debugFlag() throws {
    try withLoop { loop, kernel in
      let fromEnvironment = getenv("ASYNCIODEBUG").map { $0.pointee != 0 } ?? false
      #expect(loop.debug == fromEnvironment)
      loop.debug = true
      #expect(loop.debug)
      loop.debug = false
      #expect(!loop.debug)
    }
  }

  @Test("the environment variable turns debug mode on, and an empty one does not")
  func debugEnvironment() async {
    // Processes of their own: the environment belongs to the whole one.
    await #expect(processExitsWith: .success) {
      setenv("ASYNCIODEBUG", "1", 1)
      let on = try EventLoop()
      setenv("ASYNCIODEBUG", "", 1)
      let empty = try EventLoop()
      unsetenv("ASYNCIODEBUG")
      let off = try EventLoop()
      precondition(on.debug && !empty.debug && !off.debug)
      for loop in [on, empty, off] { loop.close() }
    }
  }

  @Test("in debug mode a callback or task step over the limit is logged with its time and place")
  func slowCallbacks() throws {
    try withLoop { loop, kernel in
      #expect(loop.slowCallbackDuration == .milliseconds(100))
      loop.slowCallbackDuration = .milliseconds(777)
      loop.debug = true
      let line: UInt = #line + 1
      loop.callSoon { kernel.advanceClock(by: .milliseconds(777)) }
      loop.callSoon { kernel.advanceClock(by: .milliseconds(700)) }
      try turn(loop)
      #expect(CapturedLog.matching("ExceptionHandlerTests.swift:\(line) took").count == 1)
      #expect(CapturedLog.matching("ExceptionHandlerTests.swift:\(line + 1) took").isEmpty)
      let stepsBefore = CapturedLog.matching("slow: step of task").count
      loop.createTask { kernel.advanceClock(by: .milliseconds(800)) }
      try loop.remote.callSoonThreadsafe { _ in kernel.advanceClock(by: .milliseconds(800)) }
      try turn(loop)
      #expect(CapturedLog.matching("slow: step of task").count > stepsBefore)
      #expect(!CapturedLog.matching("slow: callback from another thread").isEmpty)
      loop.debug = false
      let line2: UInt = #line + 1
      loop.callSoon { kernel.advanceClock(by: .milliseconds(999)) }
      try turn(loop)
      #expect(CapturedLog.matching("ExceptionHandlerTests.swift:\(line2) took").isEmpty)
    }
  }
}
