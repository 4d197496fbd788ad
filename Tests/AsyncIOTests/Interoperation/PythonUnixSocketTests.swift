// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import AsyncIO

/// Unix sockets between this library and Python's asyncio, in both roles, by files and by abstract names.
@Suite struct PythonUnixSocketTests {
  /// A path for Python, which is given a leading `@` for a zero byte, and the same for us.
  private func path(_ isAbstract: Bool, _ folder: TemporaryFolder) -> (theirs: String, ours: String) {
    guard isAbstract else { return (folder.path(of: "socket"), folder.path(of: "socket")) }
    let name = "asyncio-test-" + UUID().uuidString
    return ("@" + name, "\0" + name)
  }

  @Test("Python's client echoes 8 MiB off a server of ours", arguments: [false, true])
  func pythonClient(isAbstract: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let (theirs, ours) = path(isAbstract, folder)
      let server = try await loop.startUnixServer(path: ours) { reader, writer in
        for try await chunk in reader { try await writer.send(chunk) }
      }
      let python = try PythonPeer(loop, "client", theirs, "echo_8_megabytes")
      let answer = try await python.line()
      #expect(answer == "\(8 << 20) same")
      try await python.finish()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("A client of ours sends Python's server a megabyte, half closed", arguments: [false, true])
  func pythonServer(isAbstract: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let (theirs, ours) = path(isAbstract, folder)
      let python = try PythonPeer(loop, "server", theirs)
      let ready = try await python.line()
      #expect(ready == theirs)
      let (reader, writer) = try await loop.openUnixConnection(path: ours)
      writer.write("check\n")
      try await writer.send(PythonPeer.pattern(1 << 20))
      writer.writeEOF()
      let answer = String(decoding: try await reader.read(), as: UTF8.self)
      #expect(answer == "\(1 << 20) same\n")
      writer.close()
      try await writer.waitClosed()
      try await python.finish()
    }
  }
}
