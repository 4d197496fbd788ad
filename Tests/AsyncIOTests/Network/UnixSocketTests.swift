// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct UnixSocketTests {
  @Test("Callbacks and streams talk over a socket file", arguments: [false, true])
  func echo(usesStreams: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "echo")
      let server = try await echoServer(loop, path)
      #expect(server.sockets.first?.localAddress?.unixPath == FilePath(path))
      if usesStreams {
        let (reader, writer) = try await loop.openUnixConnection(path: path)
        #expect(writer.getExtraInfo(.peername)?.unixPath == FilePath(path))
        try await writer.send("hello")
        writer.writeEOF()
        #expect(try await reader.read() == Array("hello".utf8))
        try await writer.waitClosed(after: writer.close)
      } else {
        let recorder = Recorder()
        let (transport, made) = try await loop.createUnixConnection({ recorder }, path: path)
        #expect(made === recorder && recorder.calls == [.made])
        transport.write("hello")
        try await loop.until { recorder.text == "hello" }
        transport.close()
        try await loop.until { recorder.isLost }
      }
      server.close()
      try await server.waitClosed()
      #expect(!folder.exists("echo"))
    }
  }

  @Test("A path may have 107 bytes, a name in the abstract space 108 with its leading zero")
  func lengths() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let start = folder.path(of: "")
      func path(_ length: Int) -> String { start + String(repeating: "p", count: length - start.utf8.count) }
      let server = try await echoServer(loop, path(107))
      try await expectEcho(loop, path(107))
      server.close()
      for length in [108, 109] {
        let error = try await ioError { try await echoServer(loop, path(length)) }
        #expect(error == IOError(.fileNameTooLong, "bind", path(length).debugDescription))
        #expect(try await ioError { try await loop.openUnixConnection(path: path(length)) }.operation == "connect")
      }
      let name = "\0" + UUID().uuidString
      let longest = name + String(repeating: "n", count: 108 - name.utf8.count)
      let abstract = try await echoServer(loop, longest)
      try await expectEcho(loop, longest)
      abstract.close()
      #expect(try await ioError { try await echoServer(loop, longest + "n") }.code == .fileNameTooLong)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }
  }

  @Test(
    "An empty path, and one with a zero byte inside, are rejected",
    arguments: [("", "\"\""), ("/tmp/a\0b", "\"/tmp/a\\x00b\"")])
  func zeroByte(path: String, shown: String) throws {
    try runLoop { (loop, kernel) async throws in
      let expected = IOError(.invalidArgument, "bind", shown)
      #expect(try await ioError { try await echoServer(loop, path) } == expected)
      #expect(try await ioError { try await loop.openUnixConnection(path: path) }.code == .invalidArgument)
    }
  }

  @Test(
    "a folder or a file in the path's place is EADDRINUSE naming the path, and stays", arguments: [false, true])
  func otherKindsOfFiles(isFolder: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "taken")
      if isFolder {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      } else {
        try folder.file([1, 2, 3], name: "taken").close()
      }
      let error = try await ioError { try await echoServer(loop, path) }
      #expect(error == IOError(.addressInUse, "bind", path))
      #expect(folder.exists("taken"))
      #expect(isFolder || FileManager.default.contents(atPath: path) == Data([1, 2, 3]))
    }
  }

  @Test("a socket file that nobody listens on is replaced")
  func staleFile() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "stale")
      let former = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try former.bind(to: try #require(SocketAddress(unixPath: path)))
      try former.listen()
      former.close()
      #expect(folder.exists("stale"))
      let server = try await echoServer(loop, path)
      try await expectEcho(loop, path)
      server.close()
      #expect(!folder.exists("stale"))
    }
  }

  @Test("a socket file that somebody listens on is EADDRINUSE, and both stay", arguments: [false, true])
  func liveFile(isBusy: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "live")
      let address = try #require(SocketAddress(unixPath: path))
      let listener = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try listener.bind(to: address)
      try listener.listen(backlog: 0)
      // One that has no time to accept is no less alive.
      let fillers = isBusy ? try fill(address, kernel) : []
      #expect(try await ioError { try await echoServer(loop, path) } == IOError(.addressInUse, "bind", path))
      #expect(folder.exists("live"))
      #expect(try listener.accept().connection.isNonBlocking, "the listener still works")
      for socket in fillers + [listener] { socket.close() }
    }
  }

  @Test("the file of a server that is open when its loop closes is removed, unless somebody took its place")
  func loopCloses() throws {
    let folder = try TemporaryFolder()
    let (mine, others, kept) = (folder.path(of: "mine"), folder.path(of: "others"), folder.path(of: "kept"))
    try withLoop { loop, kernel in
      try loop.runUntilComplete {
        for path in [mine, others] { _ = try await loop.createUnixServer({ Recorder() }, path: path) }
        _ = try await loop.createUnixServer({ Recorder() }, path: kept, cleanupSocket: false)
        let closed = try await loop.createUnixServer({ Recorder() }, path: folder.path(of: "closed"))
        closed.close()
        #expect(loop.closeHooks.count == 2)
      }
      #expect(FileManager.default.fileExists(atPath: mine))
      try FileManager.default.removeItem(atPath: others)
      #expect(FileManager.default.createFile(atPath: others, contents: nil))
    }
    #expect(!FileManager.default.fileExists(atPath: mine))
    #expect(FileManager.default.fileExists(atPath: others))
    #expect(FileManager.default.fileExists(atPath: kept))
  }

  @Test("a link to a stale socket file stays, and so does the file")
  func link() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let former = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try former.bind(to: try #require(SocketAddress(unixPath: folder.path(of: "target"))))
      former.close()
      try FileManager.default.createSymbolicLink(
        atPath: folder.path(of: "link"), withDestinationPath: folder.path(of: "target"))
      #expect(try await ioError { try await echoServer(loop, folder.path(of: "link")) }.code == .addressInUse)
      #expect(folder.exists("link") && folder.exists("target"))
    }
  }

  @Test("a failure to bind or to listen closes the socket, and leaves no file", arguments: [true, false])
  func failures(inBind: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "socket")
      kernel.inject(inBind ? .permissionDenied : .addressInUse, into: inBind ? .bind : .listen)
      let before = kernel.openDescriptors
      let error = try await ioError { try await echoServer(loop, path) }
      #expect(error == IOError(inBind ? .permissionDenied : .addressInUse, inBind ? "bind" : "listen", path))
      #expect(kernel.openDescriptors == before)
      #expect(!folder.exists("socket"))
    }
  }

  @Test("an abstract name leaves no file, is free after the close, and taken before")
  func abstractName() throws {
    try runLoop { loop, kernel in
      let name = "\0asyncio-\(UUID().uuidString)\0with a zero"
      let server = try await echoServer(loop, name)
      #expect(server.sockets.first?.localAddress?.unixName == Array(name.utf8))
      try await expectEcho(loop, name)
      let error = try await ioError { try await echoServer(loop, name) }
      #expect(error.code == .addressInUse && error.subject == "@" + name.dropFirst().replacing("\0", with: "\\x00"))
      server.close()
      let again = try await echoServer(loop, name)
      again.close()
    }
  }

  @Test("the close removes the file unless told not to, or it is gone, or was replaced")
  func cleanUp() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      func server(_ name: String, cleanupSocket: Bool = true) async throws -> Server {
        try await loop.createUnixServer({ Recorder() }, path: folder.path(of: name), cleanupSocket: cleanupSocket)
      }
      try await server("removed").close()
      #expect(!folder.exists("removed"))

      try await server("kept", cleanupSocket: false).close()
      #expect(folder.exists("kept"))

      let gone = try await server("gone")
      try FileManager.default.removeItem(atPath: folder.path(of: "gone"))
      gone.close()
      #expect(!folder.exists("gone"))

      let former = try await server("replaced")
      try FileManager.default.removeItem(atPath: folder.path(of: "replaced"))
      let present = try await server("replaced")
      former.close()
      #expect(folder.exists("replaced"))
      _ = try await loop.createUnixConnection({ Recorder() }, path: folder.path(of: "replaced")).transport.abort()
      present.close()
      #expect(!folder.exists("replaced"))
    }
  }

  @Test("cancelling serveForever removes the file too")
  func serveForever() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await loop.startUnixServer(path: folder.path(of: "s"), startServing: false) { _, _ in }
      let refused = try await ioError { try await loop.openUnixConnection(path: folder.path(of: "s")) }
      #expect(refused == IOError(.connectionRefused, "connect", folder.path(of: "s")))
      let serving = loop.createTask { try await server.serveForever() }
      try await loop.until { server.isServing }
      let (reader, writer) = try await loop.openUnixConnection(path: folder.path(of: "s"))
      #expect(try await reader.read() == [])
      writer.close()
      serving.cancel()
      #expect(await thrown { try await serving.value } is CancellationError)
      #expect(!folder.exists("s"))
    }
  }

  @Test("A listener whose queue is full is waited for, and a cancelled wait leaves nothing")
  func fullBacklog() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path(of: "full")
      let address = try #require(SocketAddress(unixPath: path))
      let listener = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try listener.bind(to: address)
      try listener.listen(backlog: 0)
      let fillers = try fill(address, kernel)
      let before = kernel.openDescriptors
      let connects = kernel.count(of: .connect)
      let cancelled = loop.createTask { _ = try await loop.openUnixConnection(path: path) }
      try await loop.until("it tries again") { kernel.count(of: .connect) >= connects + 3 }
      cancelled.cancel()
      #expect(await thrown { try await cancelled.value } is CancellationError)
      #expect(kernel.openDescriptors == before)

      let recorder = Recorder()
      let connecting = loop.createTask { _ = try await loop.createUnixConnection({ recorder }, path: path) }
      try await loop.turn()
      #expect(recorder.calls == [])
      for _ in fillers { try listener.accept().connection.close() }
      try await connecting.value
      #expect(recorder.calls == [.made])
      recorder.transport.abort()
      for socket in fillers + [listener] { socket.close() }
    }
  }

  @Test("What the factory throws closes the connection's socket")
  func factoryThrows() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await echoServer(loop, folder.path(of: "s"))
      let before = kernel.openDescriptors
      func factory() throws -> Recorder { throw TestError(number: 3) }
      let error = await thrown { try await loop.createUnixConnection(factory, path: folder.path(of: "s")) }
      #expect(error as? TestError == TestError(number: 3))
      try await loop.until { kernel.openDescriptors.isSubset(of: before) }
      server.close()
    }
  }

  // MARK: Helpers

  private func echoServer(_ loop: EventLoop, _ path: String) async throws -> Server {
    try await loop.startUnixServer(path: path) { reader, writer in
      for try await chunk in reader { try await writer.send(chunk) }
    }
  }

  private func expectEcho(_ loop: EventLoop, _ path: String) async throws {
    let (reader, writer) = try await loop.openUnixConnection(path: path)
    try await writer.send("ping")
    writer.writeEOF()
    #expect(try await reader.read() == Array("ping".utf8))
    try await writer.waitClosed(after: writer.close)
  }

  /// Connects until the listener's queue is full.
  private func fill(_ address: SocketAddress, _ kernel: TestKernel) throws -> [Socket] {
    var sockets: [Socket] = []
    while true {
      let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      do throws(IOError) { try socket.connect(to: address) } catch {
        #expect(error.code == .wouldBlock)
        socket.close()
        return sockets
      }
      sockets.append(socket)
    }
  }
}

extension StreamWriter {
  fileprivate func waitClosed(after close: () -> Void) async throws {
    close()
    try await waitClosed()
  }
}
