// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// The example of graceful restarts under load, below a service manager.
@Suite(.serialized) struct GracefulRestartTests {
  @Test("Every request of steady clients is answered through several restarts, on the manager's socket")
  func underLoad() throws {
    try runLoop(limits: Watchdog.Limits(failure: .seconds(110))) { loop, kernel in
      let folder = try TemporaryFolder()
      let service = try await ManagedService(loop, folder, sockets: "tcp:main")
      let port = try #require(service.addresses.first)
      let clients = SteadyClients(loop, count: 8) { try await loop.openConnection(host: "127.0.0.1", port: port) }
      for _ in 0..<4 {
        try await loop.until("the process serves") { clients.answers[service.process, default: 0] > 20 }
        try await service.restart()
      }
      try await loop.until("the last one serves") { clients.answers[service.process, default: 0] > 20 }
      try await clients.finish()
      #expect(clients.answerCount == clients.requestCount)
      #expect(clients.answers.count == 5)
      #expect(Set(clients.answers.keys) == Set(service.readyProcesses))
      let last = service.process
      #expect(service.ends.count == 4 && service.ends.values.allSatisfy { $0 == 0 })
      service.send(SIGTERM)
      try await service.finish()
      #expect(service.ends[last] == -SIGTERM)

      // What the manager heard of a restart, from the first process.
      let first = service.told.filter { $0.sender == service.firstProcess }.map(\.message)
      #expect(first.count == 3)
      #expect(first.dropFirst().first?.hasPrefix("RELOADING=1|MONOTONIC_USEC=") == true)
      #expect(first.last == "MAINPID=\(service.readyProcesses[1])|READY=1")
    }
  }

  @Test("The same with a unix socket of the program's own, whose file goes with the last process")
  func unixSocket() throws {
    try runLoop(limits: Watchdog.Limits(failure: .seconds(110))) { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "own")
      let service = try await ManagedService(loop, folder, sockets: "none", [path])
      let clients = SteadyClients(loop, count: 4) { try await loop.openUnixConnection(path: path) }
      for _ in 0..<2 {
        try await loop.until { clients.answers[service.process, default: 0] > 20 }
        try await service.restart()
      }
      try await clients.finish()
      #expect(clients.answerCount == clients.requestCount)
      #expect(service.ends.values.allSatisfy { $0 == 0 } && service.ends.count == 2)
      #expect(folder.exists("own"))
      service.send(SIGTERM)
      try await service.finish()
      #expect(!folder.exists("own"))
    }
  }

  @Test("A newer program that fails to start changes nothing, and the next one that does not takes over")
  func failingSuccessor() throws {
    try runLoop(limits: Watchdog.Limits(failure: .seconds(110))) { loop, kernel in
      let folder = try TemporaryFolder()
      let service = try await ManagedService(loop, folder, sockets: "tcp,unix")
      let path = folder.path(of: "unix")
      let clients = SteadyClients(loop, count: 4) { try await loop.openUnixConnection(path: path) }
      let old = service.process
      try service.replaceProgram(by: "/bin/false")
      service.send(SIGHUP)
      try await loop.until("it is reported") { service.told.last?.message.contains("ended with status 1") == true }
      try service.replaceProgram(by: "/nonexistent")
      service.send(SIGHUP)
      try await loop.until("it is reported") { service.told.last?.message.contains("ENOENT") == true }
      let served = clients.answers[old, default: 0]
      try await loop.until("the old process serves on") { clients.answers[old, default: 0] > served + 20 }
      #expect(clients.answers.count == 1 && service.ends[old] == nil)
      try service.replaceProgram(by: try builtProgram("graceful-restart").path)
      try await service.restart()
      try await loop.until("the new one serves") { clients.answers[service.process, default: 0] > 20 }
      try await clients.finish()
      #expect(clients.answerCount == clients.requestCount)
      #expect(service.ends[old] == 0)
      service.send(SIGTERM)
      try await service.finish()
    }
  }

  @Test("systemd's own tool for testing socket units starts the program with its sockets")
  func systemdSocketActivate() throws {
    let tool = "/usr/bin/systemd-socket-activate"
    guard FileManager.default.isExecutableFile(atPath: tool) else { return }
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "activated")
      let program = try builtProgram("graceful-restart").path
      let process = try await loop.createSubprocessExec(
        tool, ["--listen", path, "--fdname", "main", program], stdin: .null, stdout: .null, stderr: .null)
      try await loop.until("it listens") { folder.exists("activated") }
      let (reader, writer) = try await loop.openUnixConnection(path: path)
      try await writer.send("hello\n")
      // The tool becomes the program.
      #expect(try await reader.readLine() == Array("\(process.pid) hello\n".utf8))
      writer.close()
      try process.terminate()
      #expect(try await process.wait() == -SIGTERM)
    }
  }
}
