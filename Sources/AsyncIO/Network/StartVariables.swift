// SPDX-License-Identifier: Apache-2.0

/// The environment variables by which a service manager, or a predecessor, talks to a process.
enum StartVariables {
  /// The process that the next four are for.
  static let processID = "LISTEN_PID"
  static let count = "LISTEN_FDS"
  static let names = "LISTEN_FDNAMES"
  /// The same as the first, as a number that is never used again; we do not need it, but a child must not take it for its own.
  static let processInode = "LISTEN_PIDFDID"
  /// The number of a socket at which a predecessor hears that this process is ready. Ours alone.
  static let readiness = "ASYNCIO_READY_FD"

  /// Those that are for one process alone, and for none of its children.
  static let addressed = [processID, count, names, processInode, readiness]

  static let manager = "NOTIFY_SOCKET"
  static let watchdogInterval = "WATCHDOG_USEC"
  static let watchdogProcessID = "WATCHDOG_PID"

  /// The name of a socket that has none.
  static let unknownName = "unknown"
}

extension StartKernel {
  /// A variable that has to be a whole number; nil for none.
  ///
  /// - Throws: `.invalidEnvironment` for anything else.
  func number<Number: FixedWidthInteger>(_ variable: String, _ what: String) throws(EventLoopError) -> Number? {
    guard let text = environmentVariable(variable) else { return nil }
    // The initialiser would take a sign.
    guard text.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
      let number = Number(String(decoding: text, as: UTF8.self))
    else {
      throw EventLoopError(
        .invalidEnvironment, "the environment variable \(variable) is \"\(text.printable())\", which is no \(what)")
    }
    return number
  }

  /// Whether what the variables of sockets say is for this process, and not left over from one above it.
  ///
  /// - Throws: `.invalidEnvironment`.
  var isAddressed: Bool {
    get throws(EventLoopError) {
      let addressee: Int32? = try number(StartVariables.processID, "process id")
      return addressee == processID
    }
  }
}
