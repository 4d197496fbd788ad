// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Counts, ports and times at their limits and beyond: an error that says so, never a trap or a wrong answer.
@Suite("Sockets: counts, ports and times at their limits")
struct SocketLimitTests {
  private static let absurd = [Int.min, -1, .max]

  @Test("receiving an absurd number of bytes is an error, not the end of the stream", arguments: absurd)
  func receive(_ count: Int) throws {
    try runLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1, 2, 3])
      for call in [
        { try near.receive(maxBytes: count) }, { try await loop.sockRecv(near, count) },
        { try await loop.sockRecvFrom(near, count).data },
      ] as [() async throws -> [UInt8]] {
        let error = try await ioError { try await call() }
        #expect(error.code == .invalidArgument && "\(error)".contains("maxBytes is \(count)"))
      }
      var buffer: [UInt8] = [0, 0, 0]
      await #expect(throws: EventLoopError(.invalidArgument, "")) {
        try await loop.sockRecvFromInto(near, &buffer, maxBytes: count)
      }
      #expect(try await loop.sockRecv(near, 10) == [1, 2, 3], "nothing is lost")
    }
  }

  @Test("no bytes are at once there, and nothing is lost")
  func receiveNothing() throws {
    try runLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      #expect(try await loop.sockRecv(near, 0) == [])
      var empty: [UInt8] = []
      #expect(try await loop.sockRecvInto(near, &empty) == 0)
      #expect(try await loop.sockRecv(near, 1) == [1])
      try await loop.sockSendAll(near, [])
    }
  }

  @Test("a backlog below zero is an error before anything is bound", arguments: [-1, Int.min])
  func negativeBacklog(_ backlog: Int) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path + "/s"
      let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      #expect(throws: IOError.self) { try socket.listen(backlog: backlog) }
      for call in [
        { try await loop.createServer(Recorder.init, host: "127.0.0.1", port: 0, backlog: backlog) },
        { try await loop.createServer(Recorder.init, socket: socket, backlog: backlog) },
        { try await loop.createUnixServer(Recorder.init, path: path, backlog: backlog) },
        { try await loop.startServer(host: "127.0.0.1", port: 0, backlog: backlog) { _, _ in } },
        { try await loop.startUnixServer(path: path, backlog: backlog) { _, _ in } },
      ] as [() async throws -> Server] {
        let error = await thrown { try await call() }
        #expect(error as? EventLoopError == .invalidArgument)
      }
      #expect(throws: Errno.noSuchFileOrDirectory) { _ = try kernel.fileStatus(FilePath(path)) }
      #expect(kernel.count(of: .bind) == 1)
      socket.close()
    }
  }

  @Test("a backlog of none, or of any size, serves", arguments: [0, 1, Int.max])
  func backlog(_ backlog: Int) throws {
    try runLoop { loop, kernel in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, backlog: backlog) { reader, writer in
        try await writer.send(try await reader.readLine())
      }
      let port = Int(try #require(server.sockets[0].localAddress?.port))
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      try await writer.send("line\n")
      #expect(try await reader.readLine() == Array("line\n".utf8))
      writer.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a number that is no port is an error that names it", arguments: [-1, 65_536, Int.min, .max])
  func ports(_ port: Int) throws {
    try runLoop { loop, kernel in
      for call in [
        { _ = try await loop.createConnection(Recorder.init, host: "127.0.0.1", port: port) },
        { _ = try await loop.openConnection(host: "127.0.0.1", port: port) },
        {
          _ = try await loop.createConnection(
            Recorder.init, host: "127.0.0.1", port: 1, localAddress: ("127.0.0.1", port))
        },
        { _ = try await loop.createServer(Recorder.init, host: "127.0.0.1", port: port) },
        { _ = try await loop.createDatagramEndpoint(DatagramRecorder.init, localAddress: ("127.0.0.1", port)) },
        { _ = try await loop.createDatagramEndpoint(DatagramRecorder.init, remoteAddress: ("127.0.0.1", port)) },
        { _ = try await loop.getaddrinfo(host: "127.0.0.1", port: port) },
      ] as [() async throws -> Void] {
        let error = await thrown { try await call() }
        #expect("\(String(describing: error))".contains("a port is between 0 and 65535"))
      }
      #expect(kernel.count(of: .bind) + kernel.count(of: .connect) == 0)
    }
  }

  @Test("attempts side by side: a delay or a turn below zero is an error", arguments: absurd)
  func attempts(_ number: Int) throws {
    try runLoop { loop, kernel in
      let delay = Duration.seconds(number)
      guard number < 0 else {
        // Harmless: the first attempt fails long before the second would begin.
        let error = try await ioError {
          _ = try await loop.createConnection(
            Recorder.init, host: "127.0.0.1", port: 1, happyEyeballsDelay: delay, interleave: number)
        }
        #expect(error.code == .connectionRefused)
        return
      }
      await #expect(throws: EventLoopError(.invalidArgument, "")) {
        _ = try await loop.createConnection(Recorder.init, host: "127.0.0.1", port: 1, happyEyeballsDelay: delay)
      }
      await #expect(throws: EventLoopError(.invalidArgument, "")) {
        _ = try await loop.openConnection(host: "127.0.0.1", port: 1, interleave: number)
      }
      #expect(kernel.count(of: .connect) == 0)
    }
  }

  @Test("an option's size below zero is an error; any other will do")
  func options() throws {
    let (socket, _) = try Socket.pair()
    for size in [-1, Int.min] {
      #expect(throws: IOError.self) { try socket.option(level: 1, name: 3, maxBytes: size) }
    }
    #expect(try socket.option(level: 1, name: 3, maxBytes: 0) == [])
    #expect(try socket.option(level: 1, name: 3, maxBytes: .max).count == 4)
    for number in [Int32.min, -1, .max] {
      #expect(throws: IOError.self) { try socket.option(SocketOption<Int32>(level: number, name: number)) }
      #expect(throws: IOError.self) { try socket.setOption(SocketOption<Int32>(level: number, name: number), 1) }
    }
  }

  @Test("a time to linger below zero is an error, and not the reset that zero is")
  func linger() throws {
    let (socket, _) = try Socket.pair()
    for limit in [Duration.seconds(-1), .nanoseconds(-1), .seconds(Int64.min)] {
      let error = #expect(throws: IOError.self) { try socket.setLinger(limit) }
      #expect(error?.code == .invalidArgument)
      #expect(try socket.linger() == nil)
    }
    try socket.setLinger(.zero)
    #expect(try socket.linger() == .zero)
    try socket.setLinger(.milliseconds(1))
    #expect(try socket.linger() == .seconds(1))
    try socket.setLinger(.seconds(Int64.max))
    let longest = try socket.linger()
    #expect(longest.map { $0 > .seconds(60) } == true)
  }

  @Test("a family, kind or protocol that there is none of is an error", arguments: [Int32.min, -1, .max])
  func kinds(_ number: Int32) throws {
    try runLoop { loop, kernel in
      #expect(throws: IOError.self) { try Socket(AddressFamily(rawValue: number)) }
      #expect(throws: IOError.self) { try Socket(.ipv4, SocketKind(rawValue: number)) }
      #expect(throws: IOError.self) { try Socket(.ipv4, .stream, transportProtocol: number) }
      let error = await thrown { try await loop.getaddrinfo(host: "127.0.0.1", port: 1, protocol: number) }
      #expect(error is ResolutionError)
    }
  }

  @Test("a file's offset or count that makes no sense is an error", arguments: [Int.min, -1, 0, .max])
  func files(_ number: Int) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let file = try folder.file([1, 2, 3])
      defer { try? file.close() }
      let (near, far) = try kernel.makeSocketPair(.stream)
      let (socket, peer) = (Socket(adopting: near, kernel: kernel), Socket(adopting: far, kernel: kernel))
      if number != 0 {
        let error = await thrown { try await loop.sockSendFile(socket, file, offset: Int64(number)) }
        // A file of the largest size is possible, and this one ends before.
        if number < 0 { #expect(error as? EventLoopError == .invalidArgument) }
        #expect(error is EventLoopError || error is IOError)
      }
      if number <= 0 {
        await #expect(throws: EventLoopError(.invalidArgument, "")) {
          try await loop.sockSendFile(socket, file, count: number)
        }
      } else {
        #expect(try await loop.sockSendFile(socket, file, count: number) == 3)
      }
      socket.close()
      peer.close()
    }
  }
}
