// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import AsyncIO

@Suite("Children of tasks that are cancelled") struct CancelledChildrenTests {
  @Test(
    "a limit over many children that come and go leaves none, in whichever moment of their lives it comes, and the run ends"
  )
  func limitOverMany() throws {
    try runProcessLoop { loop, kernel in
      let limit = loop.createTask {
        try await loop.withTimeout(.milliseconds(200)) {
          // Twenty at a time, as long as it is allowed to.
          try await loop.withLoopTaskGroup { group in
            for _ in 0..<20 {
              group.createTask {
                while true {
                  let process = try await loop.createSubprocessExec("sleep", ["0.002"], stdout: .pipe)
                  try await process.communicate()
                }
              }
            }
          }
        }
      }
      await #expect(throws: TimeoutError.self) { try await limit.value }
      #expect(kernel.count(of: .spawn) + kernel.count(of: .spawnCopying) > 0)
      // Those that were awaited may have some milliseconds left to live.
      try await loop.until { kernel.children.current.isEmpty }
    }
  }

  @Test(
    "the end of a run ends the children whose tasks it cancels",
    arguments: ["exec sleep 1000", "trap '' TERM INT HUP; exec sleep 1000"])
  func endOfRun(_ command: String) throws {
    try runProcessLoop { loop, _ in
      for _ in 0..<5 {
        loop.createTask {
          let process = try await loop.createSubprocessShell("echo up; " + command, stdout: .pipe)
          try await process.communicate()
        }
      }
      let process = try await loop.createSubprocessShell("echo up; " + command, stdout: .pipe)
      #expect(try await process.stdout?.readLine() == octets("up\n"))
    }
  }
}
