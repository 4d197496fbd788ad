// SPDX-License-Identifier: Apache-2.0
// A server that is replaced by a newer version of itself without refusing a connection: SIGHUP starts the program anew,
// which takes over the listening sockets; the old process answers what it has accepted, and ends. One that fails to start
// changes nothing. SIGTERM and Ctrl-C end it in good order.
//
// It answers each line with its process id, and "last" in the answer that is a connection's last one.
//
// Try: graceful-restart 8080 & (a port, a path, or nothing for the sockets of a service manager), then kill -HUP $!
// With systemd: Type=notify, ExecReload=kill -HUP $MAINPID; or with a socket unit, and systemctl restart.
import AsyncIO
import Glibc

/// The server, its connections, and its replacement.
final class Service {
  private let loop: EventLoop
  private var server: Server?
  private var isRestarting = false

  init(_ loop: EventLoop) { self.loop = loop }

  /// Serves until it is shut down, or the task is cancelled.
  func run(at place: String?) async throws {
    let server = try await listen(at: place)
    self.server = server
    try loop.addSignalHandler(.hangUp) { self.restart() }
    // Last: a successor that fails before has accepted nobody whom its end would cut off.
    try server.startServing()
    try await loop.notifyServiceManager(.ready, .status("serving"))
    report("serving")
    try await loop.withServer(server) { try await $0.waitClosed() }
    report("done")
  }

  /// On the sockets that this process was started with, or on new ones.
  private func listen(at place: String?) async throws -> Server {
    let inherited = try loop.takeInheritedSockets()
    if !inherited.isEmpty {
      return try await loop.startServer(
        sockets: inherited.sockets, cleanupSockets: place?.contains("/") == true, startServing: false, answer)
    }
    guard let place else { throw UsageError() }
    if place.contains("/") { return try await loop.startUnixServer(path: place, startServing: false, answer) }
    return try await loop.startServer(host: "127.0.0.1", port: place, startServing: false, answer)
  }

  private func answer(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    while let line = try await nextLine(reader) {
      try await loop.sleep(for: .milliseconds(1))  // stands for some work
      // The client knows then that the next request takes a new connection, and sends none that nobody would read.
      let isLast = server?.isServing != true
      try await writer.send("\(getpid()) \(line)\(isLast ? " last" : "")\n")
      if isLast { break }
    }
  }

  private func nextLine(_ reader: StreamReader) async throws -> String? {
    let line = try await reader.readLine()
    return line.last == UInt8(ascii: "\n") ? String(decoding: line.dropLast(), as: UTF8.self) : nil
  }

  private func restart() {
    guard let server, server.isServing, !isRestarting else { return }
    isRestarting = true
    loop.createTask(name: "restart") { [self] in
      defer { isRestarting = false }
      do {
        try await loop.notifyServiceManager(.reloading)
        let successor = try await loop.startSuccessor(passing: ["main": server], timeout: .seconds(20))
        report("process \(successor.pid) takes over")
        try await loop.notifyServiceManager(.mainProcess(successor.pid), .ready)
      } catch {
        report("no restart: \(error)")
        try await loop.notifyServiceManager(.ready, .status("serving; no restart: \(error)"))
        return
      }
      try await server.shutdown(gracePeriod: .seconds(10))
    }
  }

  private func report(_ what: String) {
    print("process \(getpid()): \(what)")
    fflush(nil)
  }
}

struct UsageError: Error, CustomStringConvertible {
  let description = "give a port or a path to listen at, or start it with a listening socket"
}

EventLoop.main { loop in
  try await Service(loop).run(at: CommandLine.arguments.dropFirst().first)
}
