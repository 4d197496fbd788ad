// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

/// Names of unix sockets that are not UTF-8, and sockets that the program has made itself.
@Suite struct UnixNameTests {
  /// A path in the folder whose last part is no UTF-8.
  private func oddPath(_ folder: TemporaryFolder, _ name: String = "s") -> [UInt8] {
    Array(folder.path(of: name).utf8) + [0xFF, 0xC3]
  }

  private func echoServer(_ loop: EventLoop, _ path: any SystemText) async throws -> Server {
    try await loop.startUnixServer(path: path) { reader, writer in
      for try await chunk in reader { try await writer.send(chunk) }
    }
  }

  private func expectEcho(_ reader: StreamReader, _ writer: StreamWriter) async throws {
    try await writer.send("ping")
    writer.writeEOF()
    #expect(try await reader.read() == Array("ping".utf8))
    writer.close()
    try await writer.waitClosed()
  }

  private func boundSocket(_ address: SocketAddress, _ kernel: TestKernel) throws -> Socket {
    let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
    try socket.bind(to: address)
    return socket
  }

  @Test("a path that is not UTF-8 is served, connected to and removed as it is, by bytes and by FilePath")
  func bytesInPath() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = FilePath(systemBytes: oddPath(folder))
      let server = try await echoServer(loop, path)
      #expect(server.sockets.first?.localAddress?.unixName == oddPath(folder))
      #expect(try kernel.fileStatus(path).isSocket, "the very name is in the folder")
      let (reader, writer) = try await loop.openUnixConnection(path: oddPath(folder))
      #expect(writer.getExtraInfo(.peername)?.unixPath == path)
      try await expectEcho(reader, writer)

      let taken = try await ioError { try await echoServer(loop, path) }
      #expect(taken.description == "bind \(folder.path)/s\\xFF\\xC3: Address already in use (EADDRINUSE)")
      server.close()
      #expect(throws: Errno.noSuchFileOrDirectory) { try kernel.fileStatus(path) }
      let missing = try await ioError { try await loop.openUnixConnection(path: path) }
      #expect(missing == IOError(.noSuchFileOrDirectory, "connect", "\(folder.path)/s\\xFF\\xC3"))
    }
  }

  @Test("a stale file whose name is not UTF-8 is replaced, and no other")
  func staleFile() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let address = try #require(SocketAddress(unixPath: oddPath(folder)))
      try boundSocket(address, kernel).close()
      // What the bytes would become if they went through a string.
      let repaired = String(decoding: oddPath(folder), as: UTF8.self)
      try boundSocket(try #require(SocketAddress(unixPath: repaired)), kernel).close()
      let server = try await echoServer(loop, oddPath(folder))
      let (reader, writer) = try await loop.openUnixConnection(path: oddPath(folder))
      try await expectEcho(reader, writer)
      server.close()
      #expect(try kernel.fileStatus(FilePath(repaired)).isSocket)
    }
  }

  @Test("the sender of a datagram is answered by the name that it has, be that UTF-8 or not, file or abstract")
  func datagrams() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let abstract: [UInt8] = [0, 0xFE] + Array(UUID().uuidString.utf8) + [0, 0xFF]
      for name in [oddPath(folder, "client"), abstract] {
        let server = try await loop.createDatagramEndpoint(
          DatagramRecorder.init, localPath: FilePath(systemBytes: oddPath(folder, "server"))
        ).protocol
        let client = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: name).protocol
        client.transport.sendTo("who?", server.address)
        try await loop.until { server.datagrams.count == 1 }
        #expect(server.datagrams[0].sender.unixName == name)
        server.transport.sendTo("you", server.datagrams[0].sender)
        try await loop.until { client.texts == ["you"] }
        let again = try #require(server.datagrams[0].sender.unixName)
        let other = try await loop.createDatagramEndpoint(DatagramRecorder.init, remotePath: again).protocol
        other.transport.sendTo("by name")
        try await loop.until { client.texts == ["you", "by name"] }
        try await loop.close(server, client)
        try await loop.close(other)
      }
    }
  }

  @Test("a sender whose path has no room for a closing zero is answered")
  func longestPath() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localPath: folder.path(of: "s")
      ).protocol
      // Other programs may bind to one, though we refuse to.
      let start = Array(folder.path(of: "").utf8)
      let longest = start + [UInt8](repeating: 0x70, count: 108 - start.count)
      #expect(SocketAddress(unixPath: longest) == nil)
      let client = try Socket(.unix, .datagram, transportProtocol: 0, kernel: kernel)
      defer { client.close() }
      try client.bind(to: SocketAddress(.unix(longest)))
      try await loop.sockSendTo(client, [1], server.address)
      try await loop.until { server.datagrams.count == 1 }
      #expect(server.datagrams[0].sender.unixName == longest)
      server.transport.sendTo("you", server.datagrams[0].sender)
      #expect(try await loop.sockRecv(client, 10) == Array("you".utf8))
      try await loop.close(server)
    }
  }

  @Test("a connected unix socket becomes a connection, with callbacks or streams; another kind is refused")
  func connectedSocket() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await echoServer(loop, folder.path(of: "s"))
      let address = try #require(server.address)
      func connected() async throws -> Socket {
        let socket = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
        try await loop.sockConnect(socket, address)
        return socket
      }
      let (reader, writer) = try await loop.openUnixConnection(socket: try await connected())
      try await expectEcho(reader, writer)
      let recorder = Recorder()
      let (transport, made) = try await loop.createUnixConnection({ recorder }, socket: try await connected())
      #expect(made === recorder && transport.remoteAddress == address)
      transport.write("hello")
      try await loop.until { recorder.text == "hello" }
      transport.close()
      try await loop.until { recorder.isLost }

      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      let listening = try listeningSocket(kernel)
      defer { for socket in [near, far, listening] { socket.close() } }
      try near.setNonBlocking(false)
      let refusals = [
        await thrown { try await loop.createUnixConnection({ Recorder() }, socket: near) },
        await thrown { try await loop.openUnixConnection(socket: near) },
        await thrown { try await loop.createUnixServer({ Recorder() }, socket: listening) },
        await thrown { try await loop.startUnixServer(socket: listening) { _, _ in } },
      ]
      #expect(refusals.map { $0 as? EventLoopError } == [EventLoopError?](repeating: .badArgument, count: 4))
      let isNonBlocking = try near.isNonBlocking
      #expect(!isNonBlocking && !near.isClosed && !listening.isClosed)
      server.close()
    }
  }

  @Test("a bound unix socket is served; its file goes with the server, unless told not to", arguments: [true, false])
  func boundSocket(cleanupSocket: Bool) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let address = try #require(SocketAddress(unixPath: oddPath(folder)))
      let socket = try boundSocket(address, kernel)
      try socket.setNonBlocking(false)
      let server = try await loop.startUnixServer(socket: socket, cleanupSocket: cleanupSocket) { reader, writer in
        for try await chunk in reader { try await writer.send(chunk) }
      }
      #expect(server.sockets.first === socket && server.port == 0)
      #expect(try socket.isNonBlocking)
      let (reader, writer) = try await loop.openUnixConnection(path: oddPath(folder))
      try await expectEcho(reader, writer)
      server.close()
      #expect(socket.isClosed)
      let left = try? kernel.fileStatus(FilePath(systemBytes: oddPath(folder)))
      #expect((left == nil) == cleanupSocket)
    }
  }

  @Test("a given socket of an abstract name, or of none yet, has no file to remove")
  func socketWithoutFile() throws {
    try runLoop { loop, kernel in
      let name = try #require(SocketAddress(unixPath: "\0asyncio-\(UUID().uuidString)"))
      let server = try await loop.createUnixServer({ Recorder() }, socket: try boundSocket(name, kernel))
      #expect(loop.closeHooks.isEmpty)
      server.close()
    }
  }

  @Test("a given socket on which listening fails stays the caller's, and its file stays")
  func listenFails() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let address = try #require(SocketAddress(unixPath: folder.path(of: "s")))
      let socket = try boundSocket(address, kernel)
      for call in [TestKernel.Call.listen, .add] {
        kernel.inject(.noMemory, into: call)
        let error = try await ioError { try await loop.createUnixServer({ Recorder() }, socket: socket) }
        #expect(error == IOError(.noMemory, "listen", address.description))
        #expect(!socket.isClosed && !socket.isHandedOver && folder.exists("s"))
        #expect(loop.readiness.watcher(of: socket.descriptor) == nil)
      }
      let server = try await loop.createUnixServer({ Recorder() }, socket: socket)
      #expect(server.isServing)
      server.close()
      #expect(!folder.exists("s"))
    }
  }

  @Test("a limit of no use costs no connection, and leaves a given socket alone")
  func limitFirst() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let server = try await echoServer(loop, folder.path(of: "s"))
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      try near.setNonBlocking(false)
      let sockets = kernel.count(of: .makeSocket)
      let refusals = [
        await thrown { try await loop.openUnixConnection(path: folder.path(of: "s"), limit: 0) },
        await thrown { try await loop.openUnixConnection(socket: near, limit: 0) },
        await thrown { try await loop.openConnection(socket: near, limit: 0) },
        await thrown { try await loop.startUnixServer(path: folder.path(of: "new"), limit: 0) { _, _ in } },
        await thrown { try await loop.startUnixServer(socket: near, limit: 0) { _, _ in } },
        await thrown { try await loop.startServer(socket: near, limit: 0) { _, _ in } },
      ]
      #expect(refusals.map { $0 as? EventLoopError } == [EventLoopError?](repeating: .badArgument, count: 6))
      #expect(kernel.count(of: .makeSocket) == sockets && !folder.exists("new"))
      let isNonBlocking = try near.isNonBlocking
      #expect(!isNonBlocking && !near.isClosed && !near.isHandedOver)
      server.close()
    }
  }
}
