// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Sockets whose errors the kernel queues, because the program asked for that: a poller reports them as failed until
/// somebody empties the queue.
@Suite("Error queues of sockets")
struct ErrorQueueTests {
  /// `IP_RECVERR` or `IPV6_RECVERR`.
  private static func queuesErrors(_ host: String) -> SocketOption<Bool> {
    host == "::1" ? SocketOption(level: 41, name: 25) : SocketOption(level: 0, name: 11)
  }

  @Test(
    "an endpoint open to all is told which address refused, once, and does not spin", arguments: ["127.0.0.1", "::1"])
  func openEndpoint(_ host: String) throws {
    try runLoop { loop, kernel in
      let port = try RefusingPort(host)
      defer { port.close() }
      let closed = port.address
      let endpoint = try await loop.openEndpoint(host: host)
      try #require(endpoint.transport.getExtraInfo(.socket)).setOption(ErrorQueueTests.queuesErrors(host), true)
      for round in 1...3 {
        endpoint.transport.sendTo("anybody?", closed)
        try await loop.until { endpoint.errors.count >= round }
        try await loop.expectIdle(kernel)
        #expect(endpoint.ioErrors == Array(repeating: IOError(.connectionRefused, "send", "\(closed)"), count: round))
      }
      endpoint.transport.sendTo("still alive", endpoint.address)
      try await loop.until { endpoint.texts == ["still alive"] }
      try await loop.close(endpoint)
    }
  }

  @Test("a connected endpoint is told once as well", arguments: ["127.0.0.1", "::1"])
  func connectedEndpoint(_ host: String) throws {
    try runLoop { loop, kernel in
      let port = try RefusingPort(host)
      defer { port.close() }
      let closed = port.address
      let client = try await loop.createDatagramEndpoint(
        DatagramRecorder.init, remoteAddress: (host, Int(try #require(closed.port)))
      ).protocol
      try #require(client.transport.getExtraInfo(.socket)).setOption(ErrorQueueTests.queuesErrors(host), true)
      client.transport.sendTo("anybody?")
      try await loop.until { !client.errors.isEmpty }
      try await loop.expectIdle(kernel)
      #expect(client.ioErrors.map(\.code) == [.connectionRefused])
      try await loop.close(client)
    }
  }

  @Test("errors that come in a burst are all told")
  func burst() throws {
    try runLoop { loop, kernel in
      let port = try RefusingPort()
      defer { port.close() }
      let closed = port.address
      let endpoint = try await loop.openEndpoint()
      try #require(endpoint.transport.getExtraInfo(.socket)).setOption(
        ErrorQueueTests.queuesErrors("127.0.0.1"), true)
      // With each call the kernel also tells the last one's error.
      for _ in 0..<5 { endpoint.transport.sendTo("x", closed) }
      try await loop.until { !endpoint.errors.isEmpty }
      try await loop.expectIdle(kernel)
      #expect(endpoint.ioErrors.allSatisfy { $0.code == .connectionRefused })
      #expect(endpoint.errors.count >= 3)
      try await loop.close(endpoint)
    }
  }

  @Test("an endpoint that is closed by the first error hears of no other")
  func closedByError() throws {
    try runLoop { loop, kernel in
      let port = try RefusingPort()
      defer { port.close() }
      let closed = port.address
      let endpoint = try await loop.openEndpoint()
      let socket = try #require(endpoint.transport.getExtraInfo(.socket))
      try socket.setOption(ErrorQueueTests.queuesErrors("127.0.0.1"), true)
      for _ in 0..<3 {
        endpoint.transport.sendTo("x", closed)
        // Taken away, so that the next call does not tell it: it stays in the queue.
        _ = try socket.option(.pendingError)
      }
      endpoint.onError = { _ in endpoint.transport.abort() }
      try await loop.until { endpoint.isLost }
      #expect(endpoint.calls == [.made, .error(.connectionRefused), .lost(nil)])
    }
  }

  @Test("a task that waits for a datagram is woken with the error, and its next wait does not spin")
  func waitingTask() throws {
    try runLoop { loop, kernel in
      let port = try RefusingPort()
      defer { port.close() }
      let closed = port.address
      let socket = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      try socket.bind(to: try #require(SocketAddress(ip: "127.0.0.1", port: 0)))
      try socket.setOption(ErrorQueueTests.queuesErrors("127.0.0.1"), true)
      let waiting = try await loop.startWaiting { try await loop.sockRecvFrom(socket, 100) }
      _ = try kernel.real.send(socket.descriptor, [1].span, to: closed)
      let error = try await ioError { try await waiting.value }
      #expect(error == IOError(.connectionRefused, "send", "\(closed)"))
      let second = try await loop.startWaiting { try await loop.sockRecvFrom(socket, 100) }
      try await loop.expectIdle(kernel)
      let own = try #require(socket.localAddress)
      try await loop.sockSendTo(socket, Array("reply".utf8), own)
      #expect(try await second.value.data == Array("reply".utf8))
      socket.close()
    }
  }

  @Test("a connection whose times of sending are queued does not spin, and works")
  func timesOfSending() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      // SO_TIMESTAMPING: of sending, by software.
      try #require(recorder.transport.getExtraInfo(.socket)).setOption(
        SocketOption<Int32>(level: 1, name: 37), 1 << 1 | 1 << 4)
      recorder.transport.write("timed")
      #expect(try await peer.receive(5, on: loop) == Array("timed".utf8))
      try await loop.turn()
      try await loop.expectIdle(kernel)
      try peer.send("answer")
      try await loop.until { recorder.text == "answer" }
      recorder.transport.close()
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .data, .lost(nil)])
    }
  }

  @Test("the queue of what is no IP socket is empty, and nothing is taken from it")
  func otherDescriptors() throws {
    let (near, far) = try Socket.pair(.datagram)
    try far.send([7])
    #expect(LinuxKernel.shared.takeQueuedErrors(near.descriptor) == [])
    #expect(try near.receive(maxBytes: 10) == [7])
    #expect(LinuxKernel.shared.takeQueuedErrors(FileDescriptor(rawValue: -1)) == [])
  }
}
