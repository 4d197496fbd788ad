// SPDX-License-Identifier: Apache-2.0
// Scenarios of signals that belong to the whole process.
import AsyncIO
import Foundation
import Glibc

func signals(_ kind: String) throws {
  switch kind {
  case "handler wins": handlerWins()
  case "other loop": try otherLoop()
  case "forked": try forked()
  case "ignored": ignored()
  default: exit(64)
  }
}

/// Whatever SIGINT does inside a run: "cancelled" when it ends the run.
private func interruptible(_ body: @escaping (EventLoop) async throws -> Void) {
  do {
    try EventLoop.run(configuration("all")) { loop in
      try await body(loop)
      print("ready")
      try await loop.sleep(for: .seconds(60))
    }
  } catch EventLoopError.interrupted {
    print("run threw interrupted")
  } catch {
    print("run threw \(error)")
  }
  var action = sigaction()
  sigaction(SIGINT, nil, &action)
  print("restored: \(action.__sigaction_handler.sa_handler == nil)")
}

/// A handler for SIGINT takes the place of the run's own, any number of times, and gives it back.
private func handlerWins() {
  interruptible { loop in
    var calls = 0
    let called = Future<Void>(loop)
    try loop.addSignalHandler(.interrupt) {
      calls += 1
      print("own handler \(calls)")
      if calls == 3 { try called.setResult(()) }
    }
    print("handling")
    try await called.value
    try loop.removeSignalHandler(.interrupt)
  }
}

/// Another thread's loop may take SIGINT from the main loop's run as well.
private func otherLoop() throws {
  interruptible { main in
    await withCheckedContinuation { continuation in
      Thread {
        do {
          let loop = try EventLoop()
          try loop.addSignalHandler(.interrupt) {
            print("other loop's handler")
            loop.stop()
          }
          print("handling")
          try loop.runForever()
          loop.close()
        } catch {
          print("\(error)")
        }
        continuation.resume()
      }.start()
    }
  }
}

/// A child that was forked dies of a signal that its parent handles, and its parent hears nothing.
private func forked() throws {
  // Swift hides it, for good reasons.
  typealias Fork = @convention(c) () -> pid_t
  let fork = unsafeBitCast(dlsym(nil, "fork"), to: Fork.self)
  try EventLoop.run { loop in
    var calls = 0
    try loop.addSignalHandler(.terminate) { calls += 1 }
    let child = fork()
    if child == 0 {
      kill(getpid(), SIGTERM)
      _exit(77)
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) == -1, errno == EINTR {}
    print("child: \(status & 0x7f == SIGTERM ? "died of SIGTERM" : "status \(status)")")
    try await loop.sleep(for: .milliseconds(5))
    print("parent: \(calls) calls")
    kill(getpid(), SIGTERM)
    while calls == 0 { try await loop.sleep(for: .milliseconds(1)) }
    print("parent: \(calls) calls")
  }
}

/// A program that ignores SIGINT goes on to do so.
private func ignored() {
  signal(SIGINT, SIG_IGN)
  do {
    try EventLoop.run { loop in
      raise(SIGINT)
      raise(SIGINT)
      try await loop.sleep(for: .milliseconds(1))
      print("went on")
      // Until it asks for it.
      let called = Future<Void>(loop)
      try loop.addSignalHandler(.interrupt) { try called.setResult(()) }
      raise(SIGINT)
      try await called.value
      print("handled")
    }
  } catch {
    print("run threw \(error)")
  }
  raise(SIGINT)
}
