// SPDX-License-Identifier: Apache-2.0
// Scenarios that need the process's own main thread. The first argument chooses one; each prints, a line a fact, what
// the tests compare.
import AsyncIO
import Foundation
import Glibc
import MainActorModule

/// Prints at once, also into a pipe.
nonisolated func print(_ line: String) {
  let bytes = Array((line + "\n").utf8)
  _ = write(1, bytes, bytes.count)
}

/// `main` or `other`, for the thread that asks.
func place() -> String { Thread.isMainThread ? "main" : "other" }

func report(_ what: String) { print("\(what): \(place())") }

actor Plain {
  func run() { report("default actor") }
}

@concurrent func concurrent() async { report("concurrent function") }

@MainActor func onMainActor() { report("MainActor function") }

func configuration(_ name: String) -> EventLoop.Configuration {
  var configuration = EventLoop.Configuration()
  switch name {
  case "none": configuration.adoption = .none
  case "mainActor": configuration.adoption = .mainActor
  default: configuration.adoption = .all
  }
  configuration.terminationSignals = .throwError
  return configuration
}

/// Where each kind of code runs.
func places(_ adoption: String) throws {
  try EventLoop.run(configuration(adoption)) { loop in
    report("body")
    await Task { report("Task") }.value
    await Task { @MainActor in report("Task on MainActor") }.value
    await Task.detached { report("detached task") }.value
    try await loop.createTask { report("loop's task") }.value
    await Plain().run()
    await concurrent()
    await onMainActor()
    await MainActor.run { report("MainActor.run") }
    async let child: Void = concurrent()
    await child
    try await Task.sleep(for: .milliseconds(2))
    report("after Task.sleep")
    try await Task {
      try await Task.sleep(for: .milliseconds(2)); report("Task after Task.sleep")
    }.value
    try await Task { @MainActor in
      try await Task.sleep(for: .milliseconds(2))
      MainActor.assertIsolated()
      report("MainActor after Task.sleep")
    }.value
    report("end")
  }
}

/// A body that waits until SIGINT cancels it, or ignores that.
func interrupt(_ kind: String) {
  do {
    try EventLoop.run(configuration("all")) { loop in
      print("ready")
      switch kind {
      case "cancelled":
        do { try await loop.sleep(for: .seconds(60)) } catch {
          print("body: \(error is CancellationError)"); throw error
        }
      case "other error":
        struct Other: Error {}
        do { try await loop.sleep(for: .seconds(60)) } catch { throw Other() }
      case "leftover":
        loop.createTask {
          do { try await loop.sleep(for: .seconds(60)) } catch { print("leftover: \(error is CancellationError)") }
        }
        try await loop.sleep(for: .seconds(60))
      case "busy executor":
        let (begun, begin) = AsyncStream<Void>.makeStream()
        loop.createTask {
          try await loop.runInExecutor {
            begin.yield()
            while true { sleep(60) }
          }
        }
        for await _ in begun { break }
        reportShutdown(loop)
      default:
        while true {
          do { try await loop.sleep(for: .seconds(60)) } catch {
            print("ignored"); await Future<Void>(loop).neverCancelled()
          }
        }
      }
    }
    print("run returned")
  } catch EventLoopError.interrupted {
    print("run threw interrupted")
  } catch {
    print("run threw \(error)")
  }
  var action = sigaction()
  sigaction(SIGINT, nil, &action)
  print("restored: \(action.__sigaction_handler.sa_handler == nil)")
}

/// Tells, from a callback, as soon as the default executor takes no more work.
func reportShutdown(_ loop: EventLoop) {
  loop.callLater(.milliseconds(1)) {
    loop.createTask {
      do { try await loop.runInExecutor {} } catch is EventLoopError {
        print("waiting for the executor")
        return
      } catch {}
      reportShutdown(loop)
    }
  }
}

extension Future<Void> {
  /// Waits where cancellation does not reach.
  func neverCancelled() async { await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in } }
}

func taskPlace(_ adoption: String) throws {
  try EventLoop.run(configuration(adoption)) { _ in await Task { report("Task with \(adoption)") }.value }
}

/// How many threads the process has got by each kind of work that stays on the loop.
func threads(_ adoption: String) throws {
  func count() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0 }
  try EventLoop.run(configuration(adoption)) { loop in
    let before = count()
    func more(_ what: String) { print("\(what): \(count() - before)") }
    try await loop.createTask { await Task.yield() }.value
    more("createTask")
    await withTaskGroup(of: Void.self) { group in group.addTask { await concurrent() } }
    more("task group")
    async let child: Void = concurrent()
    await child
    more("async let")
    await Plain().run()
    more("default actor")
    try await loop.sleep(for: .milliseconds(1))
    more("loop.sleep")
    try await Task.sleep(for: .milliseconds(1))
    more("Task.sleep")
    let task = loop.createTask { try await Task.sleep(for: .seconds(1000)) }
    try await loop.sleep(for: .zero)
    task.cancel()
    _ = await task.outcome
    more("cancelled Task.sleep")
  }
}

/// Copies the lines of standard input to standard output, in capitals.
func pipes() throws {
  try EventLoop.run { loop in
    let reader = try await loop.openReadPipe(.standardInput)
    let writer = try await loop.openWritePipe(try FileDescriptor.standardOutput.duplicate())
    for try await line in reader.lines { try await writer.send(line.uppercased() + "\n") }
    writer.close()
    try await writer.waitClosed()
  }
}

// Whoever started us may have had signals blocked, or the one ignored.
var none = sigset_t()
sigemptyset(&none)
pthread_sigmask(SIG_SETMASK, &none, nil)
signal(SIGINT, SIG_DFL)

switch CommandLine.arguments.dropFirst().first {
case "places": try places(CommandLine.arguments[2])
case "twice":
  // What nobody serves between the runs waits for the second.
  try EventLoop.run { _ in report("first run") }
  let late = Task { report("task made between the runs") }
  let lateSleep = Task {
    try await Task.sleep(for: .milliseconds(1)); report("sleep begun between the runs")
  }
  try EventLoop.run { _ in
    report("second run")
    await late.value
    try await lateSleep.value
    await MainActor.run { report("MainActor in the second run") }
  }
case "upgrade":
  try taskPlace("none")
  try taskPlace("mainActor")
  try taskPlace("all")
  try taskPlace("none")
case "threads": try threads(CommandLine.arguments[2])
case "mainActorModule":
  print("count: \(try runCounter(configuration(CommandLine.arguments[2])))")
case "eagerTasks": for line in try runEagerTasks(configuration(CommandLine.arguments[2])) { print(line) }
case "interrupt": interrupt(CommandLine.arguments[2])
case "pipes": try pipes()
case "standardInput": try standardInput(CommandLine.arguments[2])
case "handler":
  signal(SIGINT) { _ in _ = write(1, "own handler\n", 12) }
  try EventLoop.run { loop in
    print("ready")
    try await loop.sleep(for: .milliseconds(1))
    raise(SIGINT)
    print("went on")
  }
case "facilities": try facilities()
case "few descriptors": fewDescriptors(CommandLine.arguments[2])
case "signals": try signals(CommandLine.arguments[2])
case "ending": ending(CommandLine.arguments[2])
case "throws":
  struct BodyFailure: Error {}
  do { try EventLoop.run { _ in throw BodyFailure() } } catch { print("threw \(error)") }
default:
  print("no such scenario")
  exit(64)
}
print("done")
