// SPDX-License-Identifier: Apache-2.0
import SystemPackage

extension EventLoop {
  /// Tells the manager of the service what goes on, in one message: systemd, or another that listens at the environment's
  /// `NOTIFY_SOCKET`. What `sd_notify` does; asyncio has no counterpart.
  ///
  /// A message that the manager has no room for waits, and the loop goes on meanwhile. ``ServiceNotification/ready`` also goes to
  /// the predecessor, if this process was started by ``startSuccessor(_:_:passing:timeout:options:)``, and to it first.
  ///
  /// ```swift
  /// try await loop.notifyServiceManager(.ready, .status("serving on port \(server.port)"))
  /// ```
  ///
  /// - Returns: whether there was somebody to tell. Without a manager or a predecessor this does nothing.
  /// - Throws: ``IOError`` for `connect` or `sendto`, with the address; ``EventLoopError`` `.invalidEnvironment` for a
  ///   `NOTIFY_SOCKET` that is no unix socket's, `.invalidArgument` for a message of more than 4,096 bytes; `CancellationError`.
  @discardableResult
  public func notifyServiceManager(_ notifications: ServiceNotification...) async throws -> Bool {
    try checkOpen("notifyServiceManager")
    let hasPredecessor = try notifications.contains(.ready) && notifyPredecessor()
    guard !notifications.isEmpty, let manager = try serviceManager else { return hasPredecessor }
    let now = kernel.monotonicNanoseconds()
    let message = Array(notifications.map { $0.lines(at: now) }.joined(separator: "\n").utf8)
    // systemd reads no more, and drops a message that is longer.
    guard message.count <= 4096 else {
      throw EventLoopError(.invalidArgument, "notifyServiceManager: a message of \(message.count) bytes is too long")
    }
    let socket = try Socket(.unix, .datagram, transportProtocol: 0, kernel: kernel)
    defer { socket.close() }
    // Connected, so that the poller knows whose queue is full.
    try socket.connect(to: manager)
    try await attempt("notifyServiceManager", socket, .write) { () throws(IOError) in
      try socket.send(datagram: message, to: manager)
    }
    return true
  }

  /// How long the service's manager waits for a ``ServiceNotification/watchdog`` before it takes the service for stuck; nil
  /// when it does not. What `sd_watchdog_enabled` tells; asyncio has no counterpart.
  ///
  /// Send one after half of that, again and again:
  ///
  /// ```swift
  /// if let limit = try loop.serviceWatchdogInterval() {
  ///   loop.createTask {
  ///     for try await _ in loop.every(limit / 2) { try await loop.notifyServiceManager(.watchdog) }
  ///   }
  /// }
  /// ```
  ///
  /// - Throws: ``EventLoopError`` `.invalidEnvironment` when `WATCHDOG_USEC` or `WATCHDOG_PID` makes no sense.
  public func serviceWatchdogInterval() throws -> Duration? {
    try checkOpen("serviceWatchdogInterval")
    let addressee: Int32? = try kernel.number(StartVariables.watchdogProcessID, "process id")
    guard addressee == nil || addressee == kernel.processID,
      let microseconds: Int64 = try kernel.number(StartVariables.watchdogInterval, "number of microseconds")
    else { return nil }
    guard microseconds > 0 else {
      throw EventLoopError(.invalidEnvironment, "\(StartVariables.watchdogInterval) is 0, which is no time at all")
    }
    return .microseconds(microseconds)
  }

  /// The manager's address; nil for none.
  private var serviceManager: SocketAddress? {
    get throws(EventLoopError) {
      guard var name = kernel.environmentVariable(StartVariables.manager), !name.isEmpty else { return nil }
      let isAbstract = name[0] == UInt8(ascii: "@")
      if isAbstract { name[0] = 0 }
      guard isAbstract || name[0] == UInt8(ascii: "/"), let address = SocketAddress(unixPath: name) else {
        let text = kernel.environmentVariable(StartVariables.manager) ?? []
        throw EventLoopError(
          .invalidEnvironment, "\(StartVariables.manager) is \"\(text.printable())\", which is no unix socket's address"
        )
      }
      return address
    }
  }

  /// Tells the process that waits for this one to be ready, once.
  ///
  /// - Returns: whether there is one.
  private func notifyPredecessor() throws -> Bool {
    guard try kernel.isAddressed, let number: Int32 = try kernel.number(StartVariables.readiness, "descriptor"),
      kernel.claim(.predecessor)
    else { return false }
    let descriptor = FileDescriptor(rawValue: number)
    guard (try? kernel.fileKind(descriptor)) == .socket else {
      throw EventLoopError(
        .invalidEnvironment, "descriptor \(number) is no open socket, but \(StartVariables.readiness) says so")
    }
    let channel = Socket(adopting: descriptor, kernel: kernel)
    defer { channel.close() }
    do throws(IOError) {
      try channel.send([1])
    } catch {
      // It does not wait any more: there is nobody to tell.
      guard error.code == .brokenPipe || error.code == .connectionReset else { throw error }
      return false
    }
    return true
  }
}
