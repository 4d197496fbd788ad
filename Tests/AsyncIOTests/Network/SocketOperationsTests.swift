// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SocketOperationsTests {
  /// Every operation, on a socket that it should refuse.
  private func refusals(_ loop: EventLoop, _ socket: Socket) async throws -> [EventLoopError?] {
    let address = try #require(SocketAddress(ip: "127.0.0.1", port: 1))
    let file = try TemporaryFolder().file([1])
    defer { try? file.close() }
    var buffer: [UInt8] = [0]
    return [
      await thrown { try await loop.sockRecv(socket, 1) } as? EventLoopError,
      await thrown { try await loop.sockRecvInto(socket, &buffer) } as? EventLoopError,
      await thrown { try await loop.sockSendAll(socket, [1]) } as? EventLoopError,
      await thrown { try await loop.sockConnect(socket, address) } as? EventLoopError,
      await thrown { try await loop.sockAccept(socket) } as? EventLoopError,
      await thrown { try await loop.sockSendFile(socket, file) } as? EventLoopError,
    ]
  }

  @Test("a blocking socket is rejected; in debug mode also one that became so behind our back")
  func blockingSocket() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      try near.setNonBlocking(false)
      #expect(try await refusals(loop, near) == [EventLoopError?](repeating: .badArgument, count: 6))
      try near.setNonBlocking(true)
      try await loop.sockSendAll(near, [1])
      #expect(try await loop.sockRecv(far, 10) == [1])

      loop.debug = true
      try kernel.real.setNonBlocking(near.descriptor, false)
      #expect(try await refusals(loop, near) == [EventLoopError?](repeating: .badArgument, count: 6))
    }
  }

  @Test("all refuse the socket of a transport")
  func transportsSocket() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let socket: Socket = try #require(recorder.transport.getExtraInfo(.socket))
      #expect(try await refusals(loop, socket) == [EventLoopError?](repeating: .inUse, count: 6))
      try peer.send("for the transport")
      try await loop.until { recorder.text == "for the transport" }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
      peer.close()
    }
  }

  @Test(
    "sockSendAll hands over a megabyte through small buffers, while another task reads",
    arguments: PairKind.allCases)
  func sendAll(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let (near, far) = try await kind.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      try near.setOption(.sendBufferSize, 16 * 1024)
      try far.setOption(.receiveBufferSize, 16 * 1024)
      let bytes = pattern(1 << 20)
      var isSent = false
      let sending = loop.createTask {
        try await loop.sockSendAll(near, bytes)
        isSent = true
      }
      try await loop.turn()
      #expect(!isSent, "a megabyte does not fit")
      var received: [UInt8] = []
      while received.count < bytes.count { received += try await loop.sockRecv(far, 100_000) }
      try await sending.value
      #expect(received == bytes)
      try await loop.sockSendAll(near, [])
      try kernel.shutdownWrite(near.descriptor)
      #expect(try await loop.sockRecv(far, 10) == [], "the end of the stream")
    }
  }

  @Test("sockRecvInto fills the caller's buffer from its start, waits for data, and tells the end")
  func receiveInto() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { near.close() }
      loop.callLater(.milliseconds(1)) { try far.send([1, 2, 3]) }
      var buffer: [UInt8] = [9, 9, 9, 9]
      #expect(try await loop.sockRecvInto(near, &buffer) == 3)
      #expect(buffer == [1, 2, 3, 9])
      far.close()
      #expect(try await loop.sockRecvInto(near, &buffer) == 0)
    }
  }

  @Test("sockAccept waits, and gives a non-blocking connection and the peer's address")
  func accept() throws {
    try runLoop { loop, kernel in
      let listener = try listeningSocket(kernel)
      let client = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      defer { for socket in [listener, client] { socket.close() } }
      let accepting = loop.createTask {
        let (connection, address) = try await loop.sockAccept(listener)
        #expect(try connection.isNonBlocking)
        #expect(address != nil && address == client.localAddress)
        try await loop.sockSendAll(connection, [5])
        connection.close()
      }
      try await loop.turn()
      try await loop.sockConnect(client, try #require(listener.localAddress))
      try await accepting.value
      #expect(try await loop.sockRecv(client, 10) == [5])
    }
  }

  @Test("a port where nobody listens is ECONNREFUSED, and so is a path; the socket stays the caller's")
  func refused() throws {
    try runLoop { loop, kernel in
      let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
      defer { socket.close() }
      let (deaf, port) = try deafSocket(kernel)
      defer { deaf.close() }
      let address = try #require(SocketAddress(ip: "127.0.0.1", port: UInt16(port)))
      let error = try await ioError { try await loop.sockConnect(socket, address) }
      #expect(error == IOError(.connectionRefused, "connect", address.description))
      #expect(!socket.isClosed)

      let folder = try TemporaryFolder()
      let path = try #require(SocketAddress(unixPath: folder.path(of: "nobody")))
      let unix = try Socket(.unix, .stream, transportProtocol: 0, kernel: kernel)
      defer { unix.close() }
      let missing = try await ioError { try await loop.sockConnect(unix, path) }
      #expect(missing == IOError(.noSuchFileOrDirectory, "connect", path.description))
    }
  }

  @Test("each call tries first, and watches the descriptor only when it would block")
  func triesFirst() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      let before = kernel.count(of: .add)
      try await loop.sockSendAll(near, [1, 2])
      var buffer: [UInt8] = [0]
      #expect(try await loop.sockRecv(far, 1) == [1])
      #expect(try await loop.sockRecvInto(far, &buffer) == 1)
      #expect(kernel.count(of: .add) == before)
      loop.callLater(.milliseconds(1)) { try near.send([3]) }
      #expect(try await loop.sockRecv(far, 1) == [3])
      #expect(kernel.count(of: .add) == before + 1)
      #expect(loop.readiness.watchedCount == 0)
    }
  }

  @Test("cancelling removes the interest at once; a listener can then be closed")
  func cancellation() throws {
    try runLoop { loop, kernel in
      let listener = try listeningSocket(kernel)
      let (near, nobody) = try await PairKind.socketPair.make(loop, kernel)
      let (far, silent) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, nobody, far, silent] { socket.close() } }
      let waiting = [
        loop.createTask { _ = try await loop.sockAccept(listener) },
        loop.createTask { _ = try await loop.sockRecv(near, 10) },
        loop.createTask { try await loop.sockSendAll(far, pattern(plenty)) },
      ]
      try await loop.until { loop.readiness.watchedCount == 3 }
      for task in waiting { task.cancel() }
      #expect(loop.readiness.watchedCount == 0, "before the tasks have even noticed")
      listener.close()
      for task in waiting { #expect(await thrown { try await task.value } is CancellationError) }
      for socket in [listener, near, far] { #expect(loop.readiness.watcher(of: socket.descriptor) == nil) }
    }
  }

  @Test("a call right after a cancelled one on the same socket keeps its interest")
  func callAfterCancellation() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      let first = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.turn()
      // The second waits before the first has come to its end.
      let second = loop.createTask {
        first.cancel()
        return try await loop.sockRecv(near, 10)
      }
      #expect(await thrown { try await first.value } is CancellationError)
      try await loop.turn()
      first.cancel()
      try far.send([1, 2, 3])
      #expect(try await second.value == [1, 2, 3], "nothing was lost either")
    }
  }

  @Test("The error of a broken connection names the call")
  func brokenConnection() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.tcp.make(loop, kernel)
      defer { near.close() }
      let receiving = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.turn()
      Peer(far).reset()
      let error = try await ioError { try await receiving.value }
      #expect(error.code == .connectionReset && error.operation == "recv")
      #expect(try await ioError { try await loop.sockSendAll(near, [1]) }.code == .brokenPipe)
      near.close()
      #expect(try await ioError { try await loop.sockRecv(near, 10) }.code == .badFileDescriptor)
    }
  }
}

/// A socket that listens on a port of 127.0.0.1.
func listeningSocket(_ kernel: TestKernel, backlog: Int = 10) throws -> Socket {
  let socket = try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel)
  try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
  try socket.listen(backlog: backlog)
  return socket
}
