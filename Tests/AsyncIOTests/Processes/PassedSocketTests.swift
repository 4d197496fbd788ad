// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct PassedSocketTests {
  /// What a child says of the sockets that it has.
  private static let show =
    "echo $LISTEN_PID $$ $LISTEN_FDS $LISTEN_FDNAMES; for i in /proc/$$/fd/*; do echo -n ${i##*/},; done"

  @Test(
    "A child finds the sockets from descriptor 3 on, addressed to itself, whether or not it shares our memory",
    arguments: [true, false])
  func found(sharesMemory: Bool) throws {
    try runProcessLoop { loop, kernel in
      if !sharesMemory { kernel.inject(.notPermitted, into: .spawn) }
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { _, _ in }
      let more = try listeningSocket(kernel)
      var options = SubprocessOptions(sockets: [PassedSocket(more, name: "more")])
      options.sockets += server.passedSockets(named: "my http")
      options.sockets.append(PassedSocket(more, name: "more"))
      let recorder = try await loop.runShell(PassedSocketTests.show, options: options)
      let lines = recorder.text.split(separator: "\n").map(String.init)
      let pid = recorder.transport.pid
      #expect(lines.first == "\(pid) \(pid) 3 more:my http:more")
      let numbers = Set(lines.last?.split(separator: ",").compactMap { Int32($0) } ?? [])
      #expect(numbers.isSuperset(of: [3, 4, 5]) && numbers.isDisjoint(with: [7, 8, 9]))
      #expect(kernel.count(of: .spawnCopying) == (sharesMemory ? 0 : 1))
      #expect(server.isServing, "it is the server's as before")
      server.close()
    }
  }

  @Test("Another program's client is answered by a child that has our socket")
  func accepts() throws {
    try runProcessLoop { loop, kernel in
      let socket = try listeningSocket(kernel)
      let port = Int(try #require(socket.localAddress?.port))
      let program = """
        import os, socket
        assert int(os.environ["LISTEN_PID"]) == os.getpid()
        connection, _ = socket.socket(fileno=3).accept()
        connection.sendall(b"from the child\\n")
        """
      let process = try await loop.createSubprocessExec(
        "python3", ["-c", program], options: SubprocessOptions(sockets: [PassedSocket(socket, name: "it")]))
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      #expect(try await reader.readLine() == Array("from the child\n".utf8))
      #expect(try await process.wait() == 0)
      writer.close()
    }
  }

  @Test("An environment of the program's own is kept but for what tells of other sockets")
  func environment() throws {
    try runProcessLoop { loop, kernel in
      let socket = try listeningSocket(kernel)
      let environment: ChildEnvironment = [
        "OWN": "kept", "LISTEN_PID": "1", "LISTEN_PIDFDID": "2", "LISTEN_FDS": "7", "LISTEN_FDNAMES": "x",
        "ASYNCIO_READY_FD": "3", "PATH": "/usr/bin:/bin",
      ]
      let options = SubprocessOptions(environment: environment, sockets: [PassedSocket(socket, name: "a")])
      let recorder = ProcessRecorder()
      let (transport, _) = try await loop.subprocessExec({ recorder }, "env", stdin: .null, options: options)
      try await loop.until { recorder.isLost }
      #expect(
        recorder.text.split(separator: "\n").sorted() == [
          "LISTEN_FDNAMES=a", "LISTEN_FDS=1", "LISTEN_PID=\(transport.pid)", "OWN=kept", "PATH=/usr/bin:/bin",
        ])
      // Without sockets it is the program's affair.
      let plain = ProcessRecorder()
      _ = try await loop.subprocessExec(
        { plain }, "env", stdin: .null, options: SubprocessOptions(environment: ["LISTEN_FDS": "7"]))
      try await loop.until { plain.isLost }
      #expect(plain.text == "LISTEN_FDS=7\n")
    }
  }

  @Test("What told this process of its sockets reaches no child, whose number may be that of another process one day")
  func leftOut() async {
    // In a process of its own, since the environment is a process's.
    await #expect(processExitsWith: .success) {
      for name in StartVariables.addressed { setenv(name, "1", 1) }
      setenv("OTHER", "kept", 1)
      try runProcessLoop { loop, kernel in
        #expect(ChildEnvironment.current["LISTEN_FDS"] == nil)
        #expect(ChildEnvironment.current["OTHER"] == "kept")
        let command = "env | grep -c -e ^LISTEN_ -e ^ASYNCIO_READY; echo $OTHER"
        #expect(try await loop.runShell(command).text == "0\nkept\n")
        let socket = try listeningSocket(kernel)
        let options = SubprocessOptions(sockets: [PassedSocket(socket, name: "s")])
        #expect(try await loop.runShell(command, options: options).text == "3\nkept\n")
      }
    }
  }

  @Test(
    "A name that the protocol cannot carry is refused",
    arguments: ["a:b", "a\nb", "ü", "\0", String(repeating: "n", count: 256)])
  func names(name: String) throws {
    try runProcessLoop { loop, kernel in
      let socket = try listeningSocket(kernel)
      await #expect(throws: EventLoopError.invalidArgument) {
        _ = try await loop.runShell("true", options: SubprocessOptions(sockets: [PassedSocket(socket, name: name)]))
      }
      #expect(kernel.count(of: .spawn) == 0)
    }
  }

  @Test("A number that is wanted twice, and a socket that is closed, are errors")
  func conflicts() throws {
    try runProcessLoop { loop, kernel in
      let socket = try listeningSocket(kernel)
      var options = SubprocessOptions(sockets: [PassedSocket(socket, name: "a"), PassedSocket(socket, name: "b")])
      options.descriptors[4] = .standardError
      await #expect(throws: EventLoopError.invalidArgument) { _ = try await loop.runShell("true", options: options) }
      options.descriptors = [5: .standardError]
      #expect(try await loop.runShell("echo $LISTEN_FDS", options: options).text == "2\n")
      options.sockets = [PassedSocket(FileDescriptor(rawValue: 9999), name: "closed")]
      let error = await #expect(throws: IOError.self) { _ = try await loop.runShell("true", options: options) }
      #expect(error == IOError(.badFileDescriptor, "dup2", "descriptor 9999"))
    }
  }
}
