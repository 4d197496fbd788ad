// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// What becomes of a call that waits for a socket which is taken away meanwhile.
@Suite struct SocketWaitingTests {
  enum Call: CaseIterable {
    case recv, recvInto, recvFrom, recvFromInto, accept, connect, sendAll, sendTo, sendFile

    var name: String {
      let name = "\(self)"
      return self == .connect ? name : "sock" + name.prefix(1).uppercased() + name.dropFirst()
    }
  }

  /// Where the socket goes.
  enum Event: CaseIterable {
    case close, detach, handOver
  }

  /// A socket on which the call would wait, and those that keep it waiting.
  private func socket(for call: Call, _ loop: EventLoop, _ kernel: TestKernel) async throws -> [Socket] {
    switch call {
    case .recv, .recvInto, .recvFrom, .recvFromInto, .sendAll, .sendFile:
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      return [near, far]
    case .sendTo:
      let (near, far) = try kernel.makeSocketPair(.datagram)
      while (try? kernel.real.send(near, [1].span, to: nil)) != nil {}
      kernel.inject(.wouldBlock, into: .sendDatagram, times: .max)
      return [near, far].map { Socket(adopting: $0, kernel: kernel) }
    case .accept:
      return [try listeningSocket(kernel)]
    case .connect:
      // A listener that has no room drops what else wants to connect.
      let listener = try listeningSocket(kernel, backlog: 0)
      let others = try (0..<4).map { _ in try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel) }
      for other in others { try? other.connect(to: try #require(listener.localAddress)) }
      return [try Socket(.ipv4, .stream, transportProtocol: 0, kernel: kernel), listener] + others
    }
  }

  private func perform(_ call: Call, _ loop: EventLoop, _ sockets: [Socket]) async throws {
    let socket = sockets[0]
    var buffer: [UInt8] = [0]
    switch call {
    case .recv: _ = try await loop.sockRecv(socket, 1)
    case .recvInto: _ = try await loop.sockRecvInto(socket, &buffer)
    case .recvFrom: _ = try await loop.sockRecvFrom(socket, 1)
    case .recvFromInto: _ = try await loop.sockRecvFromInto(socket, &buffer)
    case .accept: _ = try await loop.sockAccept(socket)
    case .connect: try await loop.sockConnect(socket, try #require(sockets[1].localAddress))
    case .sendAll: try await loop.sockSendAll(socket, pattern(plenty))
    case .sendTo: try await loop.sockSendTo(socket, [1], try #require(SocketAddress(ip: "127.0.0.1", port: 1)))
    case .sendFile:
      let file = try TemporaryFolder().file(pattern(plenty))
      defer { try? file.close() }
      try await loop.sockSendFile(socket, file)
    }
  }

  @Test(
    "a call whose socket is closed, detached or handed over while it waits ends with ECANCELED",
    arguments: Call.allCases, Event.allCases)
  func takenAway(_ call: Call, _ event: Event) throws {
    try runLoop { loop, kernel in
      let sockets = try await socket(for: call, loop, kernel)
      defer { for socket in sockets where !socket.isHandedOver { socket.close() } }
      let waiting = loop.createTask { try await perform(call, loop, sockets) }
      try await loop.until("the call waits") { loop.readiness.watchedCount == 1 }
      let removals = kernel.count(of: .remove)
      switch event {
      case .close: sockets[0].close()
      case .detach: try kernel.close(try sockets[0].detach())
      case .handOver: try sockets[0].handOver("test")
      }
      #expect(loop.readiness.watchedCount == 0 && kernel.count(of: .remove) == removals + 1, "forgotten at once")
      #expect(kernel.lateRemovals == 0)
      let error = try await ioError { try await waiting.value }
      #expect(error.code == .canceled && error.operation == call.name, "\(error)")
      let event = event == .handOver ? "handed to a transport or server" : "closed or detached"
      #expect(
        error.subject
          == "descriptor \(sockets[0].descriptor.rawValue) (the socket was \(event) while the call waited)")
      if sockets[0].isHandedOver { sockets[0].closeDescriptor() }
    }
  }

  @Test("both directions of a socket are told of its end")
  func bothDirections() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { far.close() }
      let receiving = loop.createTask { _ = try await loop.sockRecv(near, 1) }
      let sending = loop.createTask { try await loop.sockSendAll(near, pattern(plenty)) }
      let next = loop.createTask {
        // Waits where another one has waited before.
        #expect(await thrown { try await receiving.value } is CancellationError)
        _ = try await loop.sockRecv(near, 1)
      }
      try await loop.turn(3)
      receiving.cancel()
      try await loop.turn(3)
      near.close()
      for task in [sending, next] { #expect(try await ioError { try await task.value }.code == .canceled) }
    }
  }

  @Test("what becomes ready in the moment of the hand-over is the new owner's, not the waiting call's")
  func readyAndHandedOver() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { far.close() }
      let waiting = loop.createTask { try await loop.sockRecv(near, 100) }
      try await loop.until { loop.readiness.watchedCount == 1 }
      try far.send(Array("for the transport".utf8))
      // The poll wakes the call, and somebody else is before it in the queue.
      try #require(loop.readiness.watcher(of: near.descriptor)).descriptorIsReady(.read)
      let recorder = Recorder()
      try near.handOver("test")
      #expect(try await ioError { try await waiting.value }.code == .canceled)
      near.handBack()
      _ = try await loop.createConnection({ recorder }, socket: near)
      try await loop.until { recorder.text == "for the transport" }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a call on the descriptor's new owner is not disturbed by the end of the old one's")
  func sameNumberAgain() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      let first = loop.createTask { try await loop.sockRecv(near, 1) }
      try await loop.turn()
      let again = Socket(adopting: try near.detach(), kernel: kernel)
      defer { for socket in [again, far] { socket.close() } }
      let second = loop.createTask { try await loop.sockRecv(again, 1) }
      try await loop.turn()
      #expect(try await ioError { try await first.value }.code == .canceled)
      try far.send([9])
      #expect(try await second.value == [9])
      near.close()
      #expect(try far.send([1]) == 1)
    }
  }
}
