// SPDX-License-Identifier: Apache-2.0
import AsyncIOProcessPool
import PoolJobs
import Testing

@testable import AsyncIO

extension CancellationTests {
  /// Waits for a child, which goes on.
  private static func awaitingChild(
    _ name: String, kills: Bool = false, _ call: @escaping @Sendable (ChildProcess) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let process = try await loop.createSubprocessShell(
        "printf 'ready\\noutput\\n'; exec sleep 1000", stdout: .pipe)
      _ = try await process.stdout?.readLine()
      return PreparedCall(
        call: { try await call(process) }, complete: { try process.kill() },
        check: { end in
          if !end.isComplete, !kills {
            #expect(process.returnCode == nil)
            try process.kill()
          }
          #expect(try await process.wait() == -Signal.kill.rawValue)
          let rest = try await process.communicate().stdout ?? []
          // Who has returned may have taken it.
          #expect(rest == octets("output\n") || end.returned && rest.isEmpty)
        })
    }
  }

  /// Starts a child, or leaves none.
  private static func starting(
    _ name: String, _ call: @escaping @Sendable (EventLoop) async throws -> (() -> Void)
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let kill = Boxed({})
      return PreparedCall(
        call: { kill.value = try await call(loop) }, waits: false,
        check: { end in
          #expect(end.returned || kernel.children.current.isEmpty)
          kill.value()
        })
    }
  }

  /// Waits for a job in a worker process.
  private static func pooling(
    _ name: String, shutsDown: Bool = false,
    _ call: @escaping @Sendable (EventLoop, ProcessPoolExecutor, WaitsForFile) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 1, executable: try poolProbe())
      let folder = try TemporaryFolder()
      let job = WaitsForFile(begun: folder.path(of: "begun"), path: folder.path(of: "go"))
      func go() throws { try folder.file([], name: "go").close() }
      let running = shutsDown ? loop.createTask(eager: true) { try await pool.run(job) } : nil
      return PreparedCall(
        call: { try await call(loop, pool, job) }, complete: { try go() },
        check: { end in
          if shutsDown {
            if !end.isComplete { try go() }
            _ = try await running?.value
          } else {
            #expect(try await pool.run(Square(7)) == 49, "the pool has a worker all the same")
          }
          try await pool.shutdown()
        })
    }
  }

  static let processCalls: [AwaitedCall] = [
    awaitingChild("ChildProcess.wait") { process in try await process.wait() },
    awaitingChild("ChildProcess.communicate") { process in try await process.communicate() },
    awaitingChild("ChildProcess.communicate (with killOnCancel)", kills: true) { process in
      try await process.communicate(killOnCancel: true)
    },
    starting("EventLoop.createSubprocessExec") { loop in
      let process = try await loop.createSubprocessExec("sleep", ["1000"], stdin: .pipe, stdout: .pipe)
      return { try? process.kill() }
    },
    starting("EventLoop.createSubprocessShell") { loop in
      let process = try await loop.createSubprocessShell("exec sleep 1000", stdin: .pipe, stdout: .pipe)
      return { try? process.kill() }
    },
    starting("EventLoop.subprocessExec") { loop in
      let (transport, _) = try await loop.subprocessExec({ ProcessRecorder() }, "sleep", ["1000"])
      return { transport.close() }
    },
    starting("EventLoop.subprocessShell") { loop in
      let (transport, _) = try await loop.subprocessShell({ ProcessRecorder() }, "exec sleep 1000")
      return { transport.close() }
    },
    pooling("ProcessPoolExecutor.run") { _, pool, job in _ = try await pool.run(job) },
    pooling("ProcessPoolExecutor.runInExecutor") { loop, pool, job in _ = try await loop.runInExecutor(pool, job) },
    pooling("ProcessPoolExecutor.shutdown", shutsDown: true) { _, pool, _ in try await pool.shutdown() },
  ]
}
