// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Datagram endpoints of unix sockets")
struct UnixDatagramTests {
  /// Lends a fresh folder.
  private func inFolder(_ body: @escaping (EventLoop, TestKernel, String) async throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "asyncio-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try runLoop { loop, kernel in try await body(loop, kernel, folder) }
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  @Test("A datagram there and back; the files are gone after the end")
  func paths() throws {
    try inFolder { loop, kernel, folder in
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/s").protocol
      let client = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, localPath: folder + "/c", remotePath: folder + "/s"
      ).protocol
      server.onDatagram = { server.transport.sendTo($0.bytes, $0.sender) }
      client.transport.sendTo("there and back")
      client.transport.sendTo([])
      try await loop.until { client.texts == ["there and back", ""] }
      #expect(client.datagrams[0].sender.unixPath == FilePath(folder + "/s"))
      #expect(server.datagrams[0].sender.unixPath == FilePath(folder + "/c"))
      #expect(client.transport.remoteAddress?.unixPath == FilePath(folder + "/s"))
      #expect(exists(folder + "/s") && exists(folder + "/c"))
      server.onDatagram = nil
      try await loop.close(server, client)
      #expect(!exists(folder + "/s") && !exists(folder + "/c"))
    }
  }

  @Test("A sender without a path has no address")
  func unnamed() throws {
    try inFolder { loop, kernel, folder in
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/s").protocol
      let client = try await loop.createDatagramEndpoint(DatagramRecorder.init, remotePath: folder + "/s").protocol
      client.transport.sendTo("who?")
      try await loop.until { server.datagrams.count == 1 }
      #expect(server.datagrams[0].sender == .unnamed)
      // To answer is an error, which closes nothing.
      server.transport.sendTo("you", server.datagrams[0].sender)
      #expect(server.errors.count == 1 && !server.transport.isClosing)
      try await loop.close(server, client)
    }
  }

  @Test("An abstract name leaves no file")
  func abstractName() throws {
    try inFolder { loop, kernel, folder in
      let name = "\0asyncio-\(UUID().uuidString)"
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: name).protocol
      let client = try await loop.createDatagramEndpoint(DatagramRecorder.init, remotePath: name).protocol
      client.transport.sendTo("hidden")
      try await loop.until { server.texts == ["hidden"] }
      #expect(server.address.unixName == Array(name.utf8))
      try await loop.close(server, client)
    }
  }

  @Test("A stale file is replaced; a live one and a file of another kind stay")
  func staleFiles() throws {
    try inFolder { loop, kernel, folder in
      let path = folder + "/s"
      let left = try Socket(.unix, .datagram, transportProtocol: 0, kernel: kernel)
      try left.bind(to: try #require(SocketAddress(unixPath: path)))
      let live = try await ioError {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: path)
      }
      #expect(live.code == .addressInUse && live.subject == path)
      left.close()
      #expect(exists(path))
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: path).protocol
      try await loop.close(server)
      #expect(!exists(path))

      try Data("text".utf8).write(to: URL(filePath: path))
      let file = try await ioError {
        try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: path)
      }
      #expect(file.code == .addressInUse)
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text == "text")
    }
  }

  @Test("A path that someone else has taken meanwhile stays")
  func replaced() throws {
    try inFolder { loop, kernel, folder in
      let path = folder + "/s"
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: path).protocol
      try FileManager.default.moveItem(atPath: path, toPath: folder + "/moved")
      try Data().write(to: URL(filePath: path))
      try await loop.close(server)
      #expect(exists(path))
    }
  }

  @Test("whichever call fails, neither a descriptor nor a file is left")
  func failures() throws {
    try inFolder { loop, kernel, folder in
      let open = kernel.openDescriptors
      func create(_ local: String? = nil, _ remote: String? = nil) async -> (any Error)? {
        await thrown {
          try await loop.createDatagramEndpoint(
            { () throws -> DatagramRecorder in throw TestError() }, localPath: local, remotePath: remote)
        }
      }
      #expect((await create() as? EventLoopError)?.code == .invalidArgument)
      #expect((await create(folder + "/" + String(repeating: "x", count: 200)) as? IOError)?.code == .fileNameTooLong)
      #expect((await create(nil, folder + "/nobody") as? IOError)?.code == .noSuchFileOrDirectory)
      #expect((await create(folder + "/s", folder + "/nobody") as? IOError)?.code == .noSuchFileOrDirectory)
      #expect(await create(folder + "/s") is TestError)
      #expect((await create(folder + "/none/s") as? IOError)?.code == .noSuchFileOrDirectory)
      #expect(kernel.openDescriptors == open)
      let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(files == [])
    }
  }

  @Test("a full receiver is tried again without spinning, and everything arrives in order")
  func fullReceiver() throws {
    try inFolder { loop, kernel, folder in
      let address = try #require(SocketAddress(unixPath: folder + "/slow"))
      let slow = try Socket(.unix, .datagram, transportProtocol: 0, kernel: kernel)
      defer { slow.close() }
      try slow.bind(to: address)
      let sender = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/s").protocol
      var count = 0
      while sender.transport.writeBufferSize == 0 {
        sender.transport.sendTo("\(count)", address)
        count += 1
      }
      for _ in 0..<5 {
        sender.transport.sendTo("\(count)", address)
        count += 1
      }
      let start = loop.time
      try await loop.until { kernel.count(of: .sendBatch) >= 5 }
      let polls = kernel.count(of: .sendBatch)
      let milliseconds = Int(start.duration(to: loop.time) / .milliseconds(1))
      #expect(polls <= milliseconds + 2, "one try a millisecond")
      var buffer = [UInt8](repeating: 0, count: 100)
      var texts: [String] = []
      try await loop.until("all arrive") {
        var span = buffer.mutableSpan
        while let (size, from) = try? kernel.real.receiveFrom(slow.descriptor, into: &span) {
          #expect(from.unixPath == FilePath(folder + "/s"))
          texts.append(String(decoding: (0..<size).map { span[$0] }, as: UTF8.self))
        }
        return texts.count == count
      }
      #expect(texts == (0..<count).map(String.init))
      #expect(sender.errors.isEmpty)
      try await loop.close(sender)
    }
  }

  @Test("a peer that went away is an error, and its successor is reached by address")
  func peerGone() throws {
    try inFolder { loop, kernel, folder in
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/s").protocol
      let client = try await loop.createDatagramEndpoint(DatagramRecorder.init, remotePath: folder + "/s").protocol
      let free = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/f").protocol
      let address = server.address
      try await loop.close(server)
      client.transport.sendTo("gone?")
      #expect(client.ioErrors.map(\.code) == [.connectionRefused])
      free.transport.sendTo("gone?", address)
      #expect(free.ioErrors.map(\.code) == [.noSuchFileOrDirectory])
      let next = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/s").protocol
      free.transport.sendTo("there?", address)
      try await loop.until { next.texts == ["there?"] }
      try await loop.close(client, free, next)
    }
  }

  @Test(
    "datagrams that are longer than any IP packet arrive whole",
    arguments: [65_536, 65_537, 100_000, 200_000, 400_000])
  func longOnes(_ size: Int) throws {
    try inFolder { loop, kernel, folder in
      let server = try await loop.createDatagramEndpoint(DatagramRecorder.init, localPath: folder + "/s").protocol
      let client = try await loop.createDatagramEndpoint(DatagramRecorder.init, remotePath: folder + "/s").protocol
      try #require(client.transport.getExtraInfo(.socket)).setOption(.sendBufferSize, 1024 * 1024)
      let bytes = pattern(size)
      for _ in 0..<3 { client.transport.sendTo(bytes) }
      client.transport.sendTo("short")
      try await loop.until { server.calls.count == 5 }
      #expect(server.errors.isEmpty && client.errors.isEmpty)
      #expect(server.datagrams.map(\.bytes.count) == [size, size, size, 5])
      #expect(server.datagrams.prefix(3).allSatisfy { $0.bytes.elementsEqual(bytes) })
      try await loop.close(server, client)
    }
  }

  @Test("room for long datagrams takes no memory from those who receive none")
  func memory() throws {
    try runLoop { loop, kernel in
      let (server, client) = try await loop.endpointPair()
      client.transport.sendTo("x")
      try await loop.until { server.texts == ["x"] }
      #expect(loop.transportMemory.packetBatch.datagramSize == 64 * 1024)
      #expect(!server.transport.takesLongDatagrams)
      try await loop.close(server, client)
    }
  }
}
