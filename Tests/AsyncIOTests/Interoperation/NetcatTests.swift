// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// `nc` (OpenBSD's) at the other end.
@Suite struct NetcatTests {
  private func nc(_ loop: EventLoop, _ arguments: String...) async throws -> ChildProcess {
    try await loop.createSubprocessExec("nc", arguments, stdin: .pipe, stdout: .pipe, stderr: .pipe)
  }

  private func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    for try await chunk in reader { try await writer.send(chunk) }
  }

  @Test("nc sends a megabyte to a TCP server of ours and gets it back, half closed")
  func tcpServer() throws {
    try runLoop { loop, kernel in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, echo)
      let bytes = PythonPeer.pattern(1 << 20)
      let child = try await nc(loop, "-N", "127.0.0.1", "\(server.port)")
      let output = try await child.communicate(input: bytes)
      #expect(output.stdout == bytes)
      #expect(child.returnCode == 0)
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("nc sends a megabyte to a unix server of ours and gets it back, half closed")
  func unixServer() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await loop.startUnixServer(path: folder.path(of: "socket"), echo)
      let bytes = PythonPeer.pattern(1 << 20)
      let child = try await nc(loop, "-N", "-U", folder.path(of: "socket"))
      let output = try await child.communicate(input: bytes)
      #expect(output.stdout == bytes)
      #expect(child.returnCode == 0)
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a client of ours talks to nc, which listens")
  func client() throws {
    try runLoop { loop, kernel in
      let child = try await nc(loop, "-l", "-v", "-N", "127.0.0.1", "0")
      let stderr = try #require(child.stderr)
      // "Listening on localhost 41847"
      let announcement = String(decoding: try await stderr.readLine(), as: UTF8.self)
      let port = try #require(announcement.split(separator: " ").last.flatMap { Int($0.filter(\.isNumber)) })
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      try await writer.send("from us\n")
      let stdout = try #require(child.stdout)
      let received = try await stdout.readLine()
      #expect(received == Array("from us\n".utf8))
      let stdin = try #require(child.stdin)
      try await stdin.send("from nc\n")
      stdin.close()
      let answer = try await reader.read()
      #expect(answer == Array("from nc\n".utf8))
      writer.close()
      try await writer.waitClosed()
      let status = try await child.wait()
      #expect(status == 0)
    }
  }

  @Test("nc's datagrams come back from an endpoint of ours")
  func datagrams() throws {
    try runLoop { loop, kernel in
      let endpoint = try await loop.openEndpoint()
      endpoint.onDatagram = { endpoint.transport.sendTo($0.bytes, $0.sender) }
      let child = try await nc(loop, "-u", "127.0.0.1", "\(endpoint.address.port ?? 0)")
      let (stdin, stdout) = (try #require(child.stdin), try #require(child.stdout))
      for text in ["one\n", "two\n", "three\n"] {
        try await stdin.send(text)
        let answer = try await stdout.readLine()
        #expect(String(decoding: answer, as: UTF8.self) == text)
      }
      #expect(endpoint.texts == ["one\n", "two\n", "three\n"])
      // By itself it would wait for more, since nothing tells the end.
      try child.terminate()
      try await child.wait()
      endpoint.onDatagram = nil
      try await loop.close(endpoint)
    }
  }
}
