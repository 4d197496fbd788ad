// SPDX-License-Identifier: Apache-2.0
import AsyncIOProcessPool
import PoolJobs
import SystemPackage
import Testing

@testable import AsyncIO

/// Whatever needs descriptors, with each of them the one that is not to be had.
@Suite struct DescriptorShortageTests {
  struct Scenario: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let run: @Sendable (EventLoop) async throws -> Void

    init(_ name: String, _ run: @escaping @Sendable (EventLoop) async throws -> Void) {
      testDescription = name
      self.run = run
    }
  }

  static let scenarios = [
    Scenario("a server and its client") { loop in
      let server = try await loop.startServer(host: "localhost", port: 0) { reader, writer in
        writer.write(try await reader.read())
        writer.close()
      }
      defer { server.close() }
      try await exchange(try await loop.openConnection(host: "127.0.0.1", port: server.port))
    },
    Scenario("a unix server and its client") { loop in
      let folder = try TemporaryFolder()
      let server = try await loop.startUnixServer(path: folder.path(of: "socket")) { reader, writer in
        writer.write(try await reader.read())
        writer.close()
      }
      defer { server.close() }
      try await exchange(try await loop.openUnixConnection(path: folder.path(of: "socket")))
    },
    Scenario("an endpoint of datagrams") { loop in
      let (transport, _) = try await loop.createDatagramEndpoint(
        { DatagramRecorder() }, localAddress: ("127.0.0.1", 0))
      transport.close()
    },
    Scenario("a process with pipes") { loop in
      let process = try await loop.createSubprocessExec("cat", stdin: .pipe, stdout: .pipe, stderr: .pipe)
      #expect(try await process.communicate(input: "text").stdout == Array("text".utf8))
    },
    Scenario("a process with null devices") { loop in
      let process = try await loop.createSubprocessExec("true", stdin: .null, stdout: .null, stderr: .null)
      #expect(try await process.wait() == 0)
    },
    Scenario("a process on a terminal") { loop in
      let process = try await loop.createSubprocessExec("printf", ["text"], on: .pty())
      #expect(try await process.communicate().stdout == Array("text".utf8))
    },
    Scenario("a pool of processes") { loop in
      let pool = try ProcessPoolExecutor(loop, maxWorkers: 1, executable: try poolProbe())
      let outcome = await loop.createTask { try await pool.run(Square(3)) }.outcome
      try await pool.shutdown()
      #expect(try outcome.get() == 9)
    },
  ]

  private static func exchange(_ connection: (reader: StreamReader, writer: StreamWriter)) async throws {
    defer { connection.writer.close() }
    connection.writer.write("text")
    connection.writer.writeEOF()
    #expect(try await connection.reader.read() == Array("text".utf8))
  }

  @Test("it works in spite of it, or throws, and leaves nothing behind", arguments: scenarios)
  func eachDescriptor(_ scenario: Scenario) throws {
    var number = 0
    var isThrough = false
    while !isThrough {
      try #require(number < 30, "it takes ever more descriptors")
      try runProcessLoop { loop, kernel in
        let reports = loop.collectErrors()
        kernel.failDescriptor(number)
        let task = loop.createTask { try await scenario.run(loop) }
        var result: Result<Void, any Error>?
        loop.createTask { result = await task.outcome }
        // A server that cannot accept tries again a second later.
        try await loop.until("descriptor \(number)") {
          if result == nil { kernel.advanceClock(by: .milliseconds(20)) }
          return result != nil
        }
        if case .failure(let error) = result {
          #expect("\(error)".contains("EMFILE"), "descriptor \(number)")
        }
        for context in reports.contexts {
          #expect(context.error.map { "\($0)" }?.contains("EMFILE") == true, "\(context.message)")
        }
        isThrough = !kernel.hasFailedDescriptor
        kernel.failDescriptor(nil)
      }
      number += 1
    }
    #expect(number > 1, "it takes no descriptor at all")
  }
}
