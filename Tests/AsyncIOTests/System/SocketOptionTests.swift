// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SocketOptionTests {
  @Test("an option whose value is a structure is read and set by its bytes")
  func bytes() throws {
    let socket = try Socket(.ipv4)
    defer { socket.close() }
    // Two numbers: whether to linger, and for how many seconds.
    #expect(try socket.option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: 100) == [0, 0, 0, 0, 0, 0, 0, 0])
    try socket.setOption(level: SOL_SOCKET, name: SO_LINGER, [1, 0, 0, 0, 7, 0, 0, 0])
    #expect(try socket.option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: 8) == [1, 0, 0, 0, 7, 0, 0, 0])
    #expect(try socket.option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: 5) == [1, 0, 0, 0, 7])
    #expect(try socket.option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: 0) == [])
    #expect(throws: IOError.self) { try socket.option(level: SOL_SOCKET, name: SO_LINGER, maxBytes: -1) }
    // A number is bytes as well; and a text.
    #expect(try socket.option(level: SOL_SOCKET, name: SO_TYPE, maxBytes: 4) == [UInt8(SOCK_STREAM.rawValue), 0, 0, 0])
    let algorithm = try socket.option(level: Int32(IPPROTO_TCP), name: TCP_CONGESTION, maxBytes: 16)
    try socket.setOption(level: Int32(IPPROTO_TCP), name: TCP_CONGESTION, algorithm)
    #expect(algorithm.first != 0)
  }

  @Test("what the kernel does not take is an error that names the call and the socket")
  func refused() throws {
    let socket = try Socket(.ipv4)
    defer { socket.close() }
    let name = "descriptor \(socket.descriptor.rawValue)"
    #expect(throws: IOError(.invalidArgument, "setsockopt", name)) {
      try socket.setOption(level: SOL_SOCKET, name: SO_LINGER, [1])
    }
    #expect(throws: IOError(.protocolNotAvailable, "getsockopt", name)) {
      try socket.option(level: SOL_SOCKET, name: 9999, maxBytes: 8)
    }
    #expect(throws: IOError(.protocolNotAvailable, "setsockopt", name)) {
      try socket.setOption(level: SOL_SOCKET, name: 9999, [1, 0, 0, 0])
    }
    let closed = try Socket(.ipv4)
    closed.close()
    #expect(throws: IOError.self) { try closed.linger() }
    #expect(throws: IOError.self) { try closed.setLinger(.zero) }
    // Taken for zero, these would reset the connection.
    for time in [Duration.seconds(-5), .milliseconds(-1)] {
      #expect(throws: IOError.self) { try socket.setLinger(time) }
    }
  }

  @Test(
    "a time to linger comes back, rounded up to seconds",
    arguments: [
      (Duration?.none, Duration?.none), (.zero, .zero), (.seconds(5), .seconds(5)), (.milliseconds(1), .seconds(1)),
      (.milliseconds(2001), .seconds(3)),
      (.seconds(100_000), .seconds(100_000)),
    ])
  func linger(set: Duration?, expected: Duration?) throws {
    let socket = try Socket(.ipv4)
    defer { socket.close() }
    try socket.setLinger(set)
    #expect(try socket.linger() == expected)
    try socket.setLinger(nil)
    #expect(try socket.linger() == nil)
  }

  @Test("a time to linger that no clock can tell is the longest that there is")
  func longLinger() throws {
    let socket = try Socket(.ipv4)
    defer { socket.close() }
    try socket.setLinger(.seconds(Int64.max))
    let limit = try #require(try socket.linger())
    #expect(limit > .seconds(1_000_000))
  }

  @Test("a connection that lingers for no time is reset when it is closed", arguments: [false, true])
  func reset(lingers: Bool) throws {
    try runLoop { loop, kernel in
      let (server, accepted) = try await recordingServer(loop)
      let (transport, client) = try await loop.createConnection({ Recorder() }, host: "127.0.0.1", port: server.port)
      try await loop.until { accepted.recorders.count == 1 }
      if !lingers { try transport.socket.setLinger(.zero) }
      transport.close()
      let peer = accepted.recorders[0]
      try await loop.until { client.isLost && peer.isLost }
      #expect(peer.calls.last == .lost(lingers ? nil : .connectionReset))
      server.close()
    }
  }
}
