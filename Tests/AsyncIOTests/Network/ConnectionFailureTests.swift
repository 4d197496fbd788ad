// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite("Connections that fail")
struct ConnectionFailureTests {
  /// Tries to connect, and sees to it that nothing is left and the loop lives.
  private func failure(
    _ loop: EventLoop, _ kernel: TestKernel, host: String = "127.0.0.1", port: Int,
    localAddress: (host: String, port: Int)? = nil
  ) async throws -> any Error {
    let open = kernel.openDescriptors
    var factoryCalls = 0
    let error = await thrown {
      try await loop.createConnection(
        {
          factoryCalls += 1
          return Recorder()
        }, host: host, port: port, localAddress: localAddress)
    }
    #expect(factoryCalls == 0)
    // A server at the other end may have accepted it, and has to notice.
    try await loop.until("nothing is left open") { kernel.openDescriptors == open }
    return try #require(error)
  }

  @Test(
    "A system call that fails on the way, with call and address",
    arguments: [
      (TestKernel.Call.makeSocket, Errno.tooManyOpenFiles, "socket for 127.0.0.1:PORT: Too many open files (EMFILE)"),
      (.makeSocket, .noBufferSpace, "socket for 127.0.0.1:PORT: No buffer space available (ENOBUFS)"),
      (.connect, .networkUnreachable, "connect 127.0.0.1:PORT: Network is unreachable (ENETUNREACH)"),
      (.connect, .timedOut, "connect 127.0.0.1:PORT: Connection timed out (ETIMEDOUT)"),
      (.bind, .permissionDenied, "bind 127.0.0.1:0: Permission denied (EACCES)"),
      (.add, .noMemory, "connect 127.0.0.1:PORT: Cannot allocate memory (ENOMEM)"),
      (.option, .noBufferSpace, "getsockopt descriptor"),
    ])
  func failingCall(_ call: TestKernel.Call, _ code: Errno, _ text: String) throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      kernel.inject(code, into: call)
      let error = try await failure(loop, kernel, port: server.port, localAddress: ("127.0.0.1", 0))
      #expect((error as? IOError)?.code == code)
      #expect("\(error)".hasPrefix(text.replacing("PORT", with: "\(server.port)")), "\(error)")
      // The next attempt is none the worse for it.
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, host: "127.0.0.1", port: server.port)
      transport.write("fine")
      try await loop.until { accepted.texts.contains("fine") }
      transport.close()
      try await loop.until { recorder.isLost }
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("ports that are none", arguments: [70_000, 65_536, -1])
  func impossiblePort(port: Int) throws {
    try runLoop { loop, kernel in
      let error = try await failure(loop, kernel, port: port)
      #expect((error as? IOError)?.code == .invalidArgument)
      #expect("\(error)".hasPrefix("connect 127.0.0.1:\(port)"))
      let local = try await failure(loop, kernel, port: 1, localAddress: ("127.0.0.1", port))
      #expect("\(local)".hasPrefix("bind 127.0.0.1:\(port)"))
      let server = try await ioError { try await loop.createServer({ Recorder() }, host: "127.0.0.1", port: port) }
      #expect(server.code == .invalidArgument)
      #expect("\(server)".hasPrefix("bind 127.0.0.1:\(port)"))
    }
  }

  @Test("a name without address is the resolver's error, with the name")
  func unresolvable() throws {
    try runLoop { loop, kernel in
      kernel.answerLookUps { query throws(ResolutionError) -> [AddressInfo] in
        throw ResolutionError(code: -2, message: "Name or service not known", subject: query.subject)
      }
      let error = try await failure(loop, kernel, host: "no.such.name", port: 80)
      #expect(
        error as? ResolutionError
          == ResolutionError(
            code: -2, message: "Name or service not known", subject: "no.such.name:80"))
      #expect("\(error)" == "getaddrinfo no.such.name:80: Name or service not known (-2)")
      let local = try await failure(loop, kernel, port: 80, localAddress: ("no.such.name", 0))
      #expect(local is ResolutionError)
      let server = await thrown { try await loop.createServer({ Recorder() }, host: "no.such.name", port: 0) }
      #expect(server is ResolutionError)
    }
  }

  @Test("an empty answer of the resolver is an error with the name")
  func resolvesToNothing() throws {
    try runLoop { loop, kernel in
      kernel.answerLookUps { _ in [] }
      let error = try await failure(loop, kernel, host: "empty.name", port: 80)
      #expect(error as? IOError == IOError(.addressNotAvailable, "connect", "empty.name:80"))
      let server = try await ioError { try await loop.createServer({ Recorder() }, host: "empty.name", port: 0) }
      #expect(server.code == .addressNotAvailable && server.operation == "bind")
    }
  }

  @Test("A factory that throws: its error, and the socket is closed, or the caller's again")
  func factoryThrows() throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      func fail() throws -> Recorder { throw TestError(number: 6) }
      let error = await thrown { try await loop.createConnection(fail, host: "127.0.0.1", port: server.port) }
      #expect(error as? TestError == TestError(number: 6))
      try await loop.until { accepted.recorders.first?.isLost == true }

      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      #expect(await thrown { try await loop.createConnection(fail, socket: near) } is TestError)
      #expect(!near.isClosed)
      let (transport, recorder) = try await loop.createConnection({ Recorder() }, socket: near)
      transport.close()
      try await loop.until { recorder.isLost }
      far.close()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("a cancelled connect leaves nothing behind")
  func cancelledConnect() throws {
    try runLoop { loop, kernel in
      let (listener, fillers) = try await fullListener(loop, kernel)
      let address = try #require(listener.localAddress)
      let (open, watched) = (kernel.openDescriptors, loop.readiness.watchedCount)
      let task = loop.createTask {
        _ = try await loop.createConnection(
          {
            Issue.record("the factory was called")
            return Recorder()
          }, host: "127.0.0.1", port: Int(try #require(address.port)))
      }
      try await loop.until { kernel.count(of: .connect) == 1 && loop.readiness.watchedCount == watched + 1 }
      task.cancel()
      let error = await thrown { try await task.value }
      #expect(error is CancellationError)
      #expect(kernel.openDescriptors == open)
      #expect(loop.readiness.watchedCount == watched)
      for filler in fillers { filler.close() }
      listener.close()
    }
  }

  /// A listener that nobody accepts from and whose queue is full: who connects now waits.
  private func fullListener(_ loop: EventLoop, _ kernel: TestKernel) async throws -> (Socket, [Socket]) {
    let listener = kernel.adopt(try kernel.real.makeSocket(.ipv4, .stream, 0))
    try listener.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
    try listener.listen(backlog: 0)
    let address = try #require(listener.localAddress)
    var fillers: [Socket] = []
    for _ in 0..<3 {
      let filler = kernel.adopt(try kernel.real.makeSocket(.ipv4, .stream, 0))
      try? kernel.real.connect(filler.descriptor, to: address)
      fillers.append(filler)
    }
    try await loop.until("the queue is full") { fillers.contains { $0.remoteAddress != nil } }
    return (listener, fillers)
  }

  @Test("a cancelled look-up is abandoned, and its late answer ignored")
  func cancelledLookUp() throws {
    let gate = try FileDescriptor.privatePipe()
    defer { try? gate.readEnd.close() }
    let answer = addresses(["127.0.0.1"], 1)
    try runLoop { loop, kernel in
      kernel.answerLookUps { _ in
        var byte: [UInt8] = [0]
        _ = try? byte.withUnsafeMutableBytes { try gate.readEnd.read(into: $0) }
        return answer
      }
      let task = loop.createTask {
        _ = try await loop.createConnection({ Recorder() }, host: "slow.name", port: 1)
      }
      try await loop.until { kernel.count(of: .lookUp) == 1 }
      task.cancel()
      #expect(await thrown { try await task.value } is CancellationError)
      try gate.writeEnd.close()
      try await loop.turn(5)
      #expect(kernel.count(of: .makeSocket) == 0)
    }
  }

  @Test("a look-up's answer that comes after the loop closed finds a closed door")
  func lateAnswer() throws {
    let gate = try FileDescriptor.privatePipe()
    let kernel = TestKernel()
    kernel.answerLookUps { _ in
      var byte: [UInt8] = [0]
      _ = try? byte.withUnsafeMutableBytes { try gate.readEnd.read(into: $0) }
      return []
    }
    let loop = try EventLoop(kernel: kernel)
    loop.createTask { _ = try await loop.createConnection({ Recorder() }, host: "slow.name", port: 1) }
    try loop.runUntilComplete { try await loop.until { kernel.count(of: .lookUp) == 1 } }
    loop.close()
    try gate.writeEnd.close()
    // Another loop's look-up comes to its end: the threads have survived.
    try runLoop { loop, kernel in
      kernel.answerLookUps { _ in addresses(["127.0.0.1"], 1) }
      let answers = try await loop.lookUp(AddressQuery(host: "a.name", service: "1"))
      #expect(answers.count == 1)
    }
    try gate.readEnd.close()
    #expect(kernel.openDescriptors == [])
  }
}
