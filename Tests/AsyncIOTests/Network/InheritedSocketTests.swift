// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct InheritedSocketTests {
  @Test("Sockets of every kind are taken in their order, by name, and are kept from other programs")
  func kinds() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let row = PassedDescriptors()
      try row.place(try listeningSocket(kernel).detach(), at: 0, kernel)
      let unix = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try unix.bind(to: try #require(SocketAddress(unixPath: folder.path(of: "stream"))))
      try unix.listen()
      try row.place(try unix.detach(), at: 1, kernel)
      let datagrams = try Socket(.unix, .datagram, transportProtocol: 0, kernel: kernel)
      try row.place(try datagrams.detach(), at: 2, kernel)
      let (connected, peer) = try kernel.makeSocketPair(.stream)
      try row.place(connected, at: 3, kernel)
      row.announce(kernel, ["LISTEN_FDS": "4", "LISTEN_FDNAMES": "http::log:http"])

      let inherited = try loop.takeInheritedSockets()
      #expect(inherited.map(\.name) == ["http", "", "log", "http"])
      #expect(inherited.map(\.socket.descriptor.rawValue) == (0..<4).map { row.first + $0 })
      #expect(inherited.map(\.isListening) == [true, true, false, false])
      #expect(inherited.map(\.socket.kind) == [.stream, .stream, .datagram, .stream])
      #expect(inherited.sockets(named: "http").map(\.descriptor.rawValue) == [row.first, row.first + 3])
      #expect(inherited.sockets(named: "none").isEmpty)
      for socket in inherited.sockets { #expect(fcntl(socket.descriptor.rawValue, F_GETFD) == FD_CLOEXEC) }
      try kernel.close(peer)
    }
  }

  @Test("A client that came before the program is answered, on TCP and unix sockets by one server")
  func earlyClients() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let row = PassedDescriptors()
      let first = try listeningSocket(kernel)
      let port = Int(try #require(first.localAddress?.port))
      try row.place(try first.detach(), at: 0, kernel)
      let second = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      try second.bind(to: try #require(SocketAddress(unixPath: folder.path(of: "here"))))
      try second.listen()
      try row.place(try second.detach(), at: 1, kernel)
      row.announce(kernel, ["LISTEN_FDS": "2"])
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      let (unixReader, unixWriter) = try await loop.openUnixConnection(path: folder.path(of: "here"))

      let inherited = try loop.takeInheritedSockets()
      #expect(inherited.map(\.name) == ["unknown", "unknown"])
      let server = try await loop.startServer(sockets: inherited.sockets) { _, writer in
        try await writer.send("hello\n")
      }
      #expect(server.port == port)
      #expect(try await reader.readLine() == Array("hello\n".utf8))
      #expect(try await unixReader.readLine() == Array("hello\n".utf8))
      writer.close()
      unixWriter.close()
      try await server.shutdown(gracePeriod: .seconds(20))
      #expect(folder.exists("here"), "the file belongs to whoever made it")
    }
  }

  @Test("A datagram that came before the program is received")
  func datagrams() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let row = PassedDescriptors()
      let address = try #require(SocketAddress(unixPath: folder.path(of: "log")))
      let log = try Socket(.unix, .datagram, transportProtocol: 0, kernel: kernel)
      try log.bind(to: address)
      try log.send(datagram: Array("early".utf8), to: address)
      try row.place(try log.detach(), at: 0, kernel)
      row.announce(kernel, ["LISTEN_FDS": "1"])
      let recorder = DatagramRecorder()
      let socket = try #require(try loop.takeInheritedSockets().first?.socket)
      let (transport, _) = try await loop.createDatagramEndpoint({ recorder }, socket: socket)
      try await loop.until { recorder.texts == ["early"] }
      transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test(
    "Nothing is taken where nothing was passed, or to another process",
    arguments: [
      [:], ["LISTEN_FDS": "1"], ["LISTEN_PID": "1", "LISTEN_FDS": "1"], ["LISTEN_PID": "1", "LISTEN_FDS": "rubbish"],
      ["LISTEN_PID": "own"], ["LISTEN_PID": "own", "LISTEN_FDS": "0"],
      ["LISTEN_PID": "own", "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""],
    ])
  func nothing(variables: [String: String]) throws {
    try runLoop { (loop, kernel) async throws in
      kernel.environment.withLock { $0 = variables.mapValues { $0 == "own" ? "\(ownProcessID())" : $0 } }
      #expect(try loop.takeInheritedSockets().isEmpty)
      #expect(try loop.takeInheritedSockets().isEmpty, "there is nothing that could be taken twice")
    }
  }

  @Test(
    "Variables that make no sense are errors with a sentence, and nothing is taken",
    arguments: [
      ("LISTEN_PID", "abc", "the environment variable LISTEN_PID is \"abc\", which is no process id"),
      ("LISTEN_PID", "99999999999", "the environment variable LISTEN_PID is \"99999999999\", which is no process id"),
      ("LISTEN_FDS", "abc", "the environment variable LISTEN_FDS is \"abc\", which is no number of sockets"),
      ("LISTEN_FDS", "-1", "the environment variable LISTEN_FDS is \"-1\", which is no number of sockets"),
      ("LISTEN_FDS", "+1", "the environment variable LISTEN_FDS is \"+1\", which is no number of sockets"),
      ("LISTEN_FDS", "", "the environment variable LISTEN_FDS is \"\", which is no number of sockets"),
      (
        "LISTEN_FDS", "2147483648",
        "the environment variable LISTEN_FDS is \"2147483648\", which is no number of sockets"
      ),
      ("LISTEN_FDS", "2", "LISTEN_FDNAMES is \"a\", and LISTEN_FDS 2: a name each is needed"),
      ("LISTEN_FDNAMES", "a:b", "LISTEN_FDNAMES is \"a:b\", and LISTEN_FDS 1: a name each is needed"),
    ])
  func rubbish(variable: String, value: String, sentence: String) throws {
    try runLoop { (loop, kernel) async throws in
      let row = PassedDescriptors()
      try row.place(try listeningSocket(kernel).detach(), at: 0, kernel)
      row.announce(kernel, ["LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"])
      kernel.environment.withLock { $0[variable] = value }
      try expectInvalid(sentence) { try loop.takeInheritedSockets() }
      row.announce(kernel, ["LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"])
      #expect(try loop.takeInheritedSockets().map(\.name) == ["a"])
    }
  }

  @Test("A descriptor that is closed, or that is a file, is an error; those before it are not taken either")
  func otherDescriptors() throws {
    try runLoop { (loop, kernel) async throws in
      let folder = try TemporaryFolder()
      let row = PassedDescriptors()
      try row.place(try listeningSocket(kernel).detach(), at: 0, kernel)
      for count in ["2", "1000000", "2147483647"] {
        row.announce(kernel, ["LISTEN_FDS": count])
        let sentence = "descriptor \(row.first + 1) is not open, but LISTEN_FDS=\(count) counts it as a socket"
        try expectInvalid(sentence) { try loop.takeInheritedSockets() }
      }
      try row.place(try folder.file([1]), at: 1, kernel)
      row.announce(kernel, ["LISTEN_FDS": "2"])
      let sentence = "descriptor \(row.first + 1) is no socket, but LISTEN_FDS=2 counts it as a socket"
      try expectInvalid(sentence) { try loop.takeInheritedSockets() }
      #expect(fcntl(row.first + 1, F_GETFL) >= 0, "it is not ours to close")
      try kernel.close(FileDescriptor(rawValue: row.first + 1))
      row.announce(kernel, ["LISTEN_FDS": "1"])
      #expect(try loop.takeInheritedSockets().count == 1)
    }
  }

  @Test("Sockets have one owner: who comes second is told so, and a closed loop takes none")
  func takenTwice() throws {
    try runLoop { (loop, kernel) async throws in
      let row = PassedDescriptors()
      try row.place(try listeningSocket(kernel).detach(), at: 0, kernel)
      row.announce(kernel, ["LISTEN_FDS": "1"])
      let other = try closedLoop(kernel)
      #expect(await thrown { try other.takeInheritedSockets() } as? EventLoopError == .closed)
      let taken = try loop.takeInheritedSockets()
      #expect(await thrown { try loop.takeInheritedSockets() } as? EventLoopError == .invalidState)
      #expect(fcntl(taken[0].socket.descriptor.rawValue, F_GETFL) >= 0, "the first owner's is open")
    }
  }

  private func closedLoop(_ kernel: TestKernel) throws -> EventLoop {
    let loop = try EventLoop(kernel: kernel)
    loop.close()
    return loop
  }

  private func expectInvalid(
    _ sentence: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> InheritedSockets
  ) throws {
    var error: EventLoopError?
    do { _ = try body() } catch let thrown as EventLoopError { error = thrown }
    #expect(error?.code == .invalidEnvironment, sourceLocation: sourceLocation)
    #expect(error?.description == sentence, sourceLocation: sourceLocation)
  }
}
