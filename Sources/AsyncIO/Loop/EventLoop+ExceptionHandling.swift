// SPDX-License-Identifier: Apache-2.0
import Logging

extension EventLoop {
  /// A custom handler of errors that nobody caught.
  public typealias ExceptionHandler = (EventLoop, ExceptionContext) throws -> Void

  // Made anew for each line: a logger keeps the handler that it was made with, and a program may set up its logging late.
  static var log: Logger { Logger(label: "asyncio") }

  /// Sets the handler of errors that nobody caught; nil for the default one. asyncio's `set_exception_handler`.
  public func setExceptionHandler(_ handler: ExceptionHandler?) {
    checkThread("setExceptionHandler")
    exceptionHandler = isClosed ? nil : handler
  }

  /// The custom handler; nil when there is none. asyncio's `get_exception_handler`.
  public func getExceptionHandler() -> ExceptionHandler? {
    checkThread("getExceptionHandler")
    return exceptionHandler
  }

  /// Logs the error by swift-log, label `asyncio`. asyncio's `default_exception_handler`.
  public func defaultExceptionHandler(_ context: ExceptionContext) {
    EventLoop.log.error("\(context)")
  }

  /// Hands an error to the handler. asyncio's `call_exception_handler`.
  ///
  /// A custom handler that throws never stops the loop: its error goes to the default handler, with the first one.
  public func callExceptionHandler(_ context: ExceptionContext) {
    guard let handler = exceptionHandler else {
      defaultExceptionHandler(context)
      return
    }
    do {
      try handler(self, context)
    } catch {
      var second = ExceptionContext(message: "the exception handler threw, while handling \"\(context)\"", error: error)
      second.handle = context.handle
      second.callSite = context.callSite
      defaultExceptionHandler(second)
    }
  }

  /// Reports what a callback threw. A call from another thread has no handle.
  func reportFailure(of call: ScheduledCall?, _ error: any Error) {
    var context = ExceptionContext(message: "error in a callback", error: error)
    context.handle = call.map(Handle.init)
    context.callSite = call?.callSite
    callExceptionHandler(context)
  }
}
