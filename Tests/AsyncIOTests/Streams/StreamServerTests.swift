// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct StreamServerTests {
  /// Starts a server, connects to it, and closes it when the body is done.
  private func serve(
    _ handler: @escaping EventLoop.StreamHandler,
    _ body: @escaping (EventLoop, Server, StreamReader, StreamWriter) async throws -> Void
  ) throws {
    try runLoop { loop, _ in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, handler)
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
      try await body(loop, server, reader, writer)
      server.close()
      writer.close()
      try await server.waitClosed()
    }
  }

  @Test("an error of a handler is reported, and its connection closed")
  func handlerThrows() throws {
    var kept: StreamWriter?
    try serve { reader, writer in
      kept = writer
      _ = try await reader.readLine()
      throw TestError(number: 3)
    } _: { loop, server, reader, writer async throws in
      let errors = loop.collectErrors()
      try await writer.send("go\n")
      #expect(try await reader.read() == [])
      #expect(errors.contexts.count == 1)
      #expect(errors.contexts.first?.error as? TestError == TestError(number: 3))
      #expect(errors.contexts.first?.transport === kept?.transport)
      #expect(errors.messages == ["error in the handler of a stream connection"])
      try await loop.until { server.connectionCount == 0 }
    }
  }

  @Test("a handler that is cancelled closes its connection, and is no error")
  func handlerIsCancelled() throws {
    var kept: StreamWriter?
    try serve { _, writer in
      kept = writer
      throw CancellationError()
    } _: { loop, server, reader, writer async throws in
      let errors = loop.collectErrors()
      #expect(try await reader.read() == [])
      #expect(errors.messages == [])
      #expect(kept?.isClosing == true)
    }
  }

  @Test("a handler that returns closes its connection, after what it wrote")
  func handlerReturns() throws {
    try serve { reader, writer in
      let name = try await reader.readLine()
      writer.write(octets("hello, ") + name)
      writer.write([UInt8](repeating: 1, count: 3 << 20))
    } _: { loop, server, reader, writer async throws in
      writer.write("you\n")
      #expect(try await reader.readLine() == octets("hello, you\n"))
      #expect(try await reader.read().count == 3 << 20)
      try await loop.until { server.connectionCount == 0 }
    }
  }

  @Test("waitClosed returns once every handler has, though none has closed its writer and no client has left")
  func forgetfulHandlers() throws {
    try runLoop { loop, _ in
      var handled = 0
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { _, _ in handled += 1 }
      var clients: [(reader: StreamReader, writer: StreamWriter)] = []
      for _ in 0..<3 { clients.append(try await loop.openConnection(host: "127.0.0.1", port: server.port)) }
      try await loop.until { handled == 3 }
      server.close()
      try await server.waitClosed()
      #expect(server.connectionCount == 0)
      for client in clients { #expect(try await client.reader.read() == []) }
    }
  }

  @Test("a handler that closes its own server answers all the same, as others do, and waitClosed waits for them")
  func closedByHandler() throws {
    try runLoop { loop, _ in
      var server: Server?
      var ended: [String] = []
      let listening = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        let line = try await reader.readLine()
        if line == octets("stop\n") { server?.close() }
        try await loop.turn()
        try await writer.send(line)
        ended.append(String(decoding: line.dropLast(), as: UTF8.self))
      }
      server = listening
      let (slow, slowWriter) = try await loop.openConnection(host: "127.0.0.1", port: listening.port)
      let (quick, quickWriter) = try await loop.openConnection(host: "127.0.0.1", port: listening.port)
      try await loop.until { listening.connectionCount == 2 }
      try await quickWriter.send("stop\n")
      try await loop.until { listening.sockets.isEmpty }
      let waiting = loop.createTask(eager: true) { try await listening.waitClosed() }
      #expect(try await quick.readLine() == octets("stop\n"))
      #expect(!waiting.isDone)
      try await slowWriter.send("late\n")
      #expect(try await slow.readLine() == octets("late\n"))
      try await waiting.value
      #expect(ended == ["stop", "late"])
      server = nil
    }
  }

  @Test("a handler that hands its writer on keeps its connection")
  func handlerHandsOn() throws {
    var kept: StreamWriter?
    try serve { _, writer in
      kept = writer
    } _: { loop, server, reader, writer async throws in
      try await loop.until { kept != nil }
      try await loop.settle()
      #expect(server.connectionCount == 1)
      kept?.write("late")
      #expect(try await reader.readExactly(4) == octets("late"))
      kept = nil
      #expect(try await reader.read() == [])
    }
  }

  @Test("a client that drops its writer ends the handler's stream")
  func clientDrops() throws {
    try runLoop { loop, _ in
      let ended = Future<[UInt8]>(loop)
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, _ in
        try ended.setResult(try await reader.read())
      }
      func connect() async throws {
        let (_, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
        writer.write("last words")
      }
      try await connect()
      #expect(try await ended.value == octets("last words"))
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("many connections are served at once, each by a handler of its own")
  func manyConnections() throws {
    try runLoop { loop, _ in
      var now = 0
      var most = 0
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        now += 1
        most = max(most, now)
        defer { now -= 1 }
        for try await line in reader.lines { try await writer.send("\(line)!\n") }
      }
      let port = server.port
      let clients = (0..<40).map { number in
        loop.createTask {
          let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
          for round in 0..<5 {
            try await writer.send("\(number).\(round)\n")
            #expect(try await reader.readLine() == octets("\(number).\(round)!\n"))
          }
          // All have come before the first one goes.
          try await loop.until { most == 40 }
          writer.close()
          try await writer.waitClosed()
        }
      }
      for client in clients { try await client.value }
      server.close()
      try await server.waitClosed()
      try await loop.until { now == 0 }
      #expect(most == 40)
    }
  }

  @Test("a server on several hosts, or on a socket, serves streams too")
  func otherWaysToListen() throws {
    try runLoop { loop, kernel in
      func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
        for try await chunk in reader { try await writer.send(chunk) }
      }
      let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      for server in [
        try await loop.startServer(hosts: ["127.0.0.1", "127.0.0.1"], port: 0, echo),
        try await loop.startServer(socket: socket, echo),
      ] {
        #expect(server.sockets.count == 1)
        let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
        try await writer.send("ping")
        #expect(try await reader.readExactly(4) == octets("ping"))
        writer.close()
        server.close()
        try await server.waitClosed()
      }
    }
  }

  @Test("a server's limit is its readers'")
  func limit() throws {
    try runLoop { loop, _ in
      let result = Future<Int>(loop)
      let server = try await loop.startServer(host: "127.0.0.1", port: 0, limit: 10) { reader, _ in
        do {
          _ = try await reader.readLine()
          try result.setResult(0)
        } catch let error as LineTooLongError {
          try result.setResult(error.limit)
        }
      }
      let (_, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
      writer.write("a line of twenty bytes\n")
      #expect(try await result.value == 10)
      writer.close()
      server.close()
      try await server.waitClosed()
    }
  }
}
