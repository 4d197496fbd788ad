// SPDX-License-Identifier: Apache-2.0

/// What is known of an error that nobody caught. asyncio's `context` dictionary.
public struct ExceptionContext {
  /// What happened, in a sentence. asyncio's `message`.
  public var message: String
  /// The error. asyncio's `exception`.
  public var error: (any Error)?
  /// The task's name, where it is a task's.
  public var taskName: String?
  /// The callback that threw it. asyncio's `handle`.
  public var handle: Handle?
  /// The protocol that threw it. asyncio's `protocol`.
  public var `protocol`: AnyObject?
  /// The transport concerned. asyncio's `transport`.
  public var transport: AnyObject?
  /// The socket concerned. asyncio's `socket`.
  public var socket: Socket?
  /// Where the callback, task or future was made; of callbacks known in debug mode only. asyncio's `source_traceback`.
  public var callSite: CallSite?

  /// Describes an error.
  public init(message: String, error: (any Error)? = nil) {
    self.message = message
    self.error = error
  }
}

extension ExceptionContext: CustomStringConvertible {
  /// The message with the error and whatever else is known, in one line.
  public var description: String {
    var text = message
    if let error { text += ": \(error)" }
    if let taskName { text += " (task \"\(taskName)\")" }
    if let transport = transport as? any CustomStringConvertible { text += " (\(transport))" }
    if let `protocol` { text += " (protocol \(type(of: `protocol`)))" }
    if let callSite { text += " (scheduled at \(callSite))" }
    return text
  }
}
