// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct SocketOwnershipTests {
  /// Whether the descriptor is open, whatever the objects think.
  private func isOpen(_ descriptor: FileDescriptor) -> Bool { (try? descriptor.duplicate().close()) != nil }

  @Test("a socket that adopts a descriptor closes it when dropped; one that borrows it does not, also when closed")
  func borrowing() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { far.close() }
      let descriptor = try near.detach()
      try far.send([1, 2])
      do {
        let borrowed = Socket(borrowing: descriptor, kernel: kernel)
        #expect(try await loop.sockRecv(borrowed, 1) == [1])
      }
      let borrowed = Socket(borrowing: descriptor, kernel: kernel)
      #expect(try await loop.sockRecv(borrowed, 1) == [2])
      borrowed.close()
      #expect(borrowed.isClosed && isOpen(descriptor))
      #expect(try await ioError { try await loop.sockRecv(borrowed, 1) }.code == .badFileDescriptor)
      do { _ = Socket(adopting: descriptor, kernel: kernel) }
      #expect(try far.receive(maxBytes: 1) == [], "the peer sees the end")
    }
  }

  @Test("the public ways to adopt and to borrow differ in who closes")
  func publicInitializers() throws {
    let (near, far) = try Socket.pair()
    let descriptor = try near.detach()
    do { _ = Socket(borrowing: descriptor) }
    #expect(isOpen(descriptor))
    do { _ = Socket(adopting: descriptor) }
    #expect(try far.receive(maxBytes: 1) == [])
  }

  @Test("a detached descriptor is the caller's to close, and the socket counts as closed")
  func detach() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { far.close() }
      let descriptor = try near.detach()
      #expect(near.isClosed && descriptor == near.descriptor && isOpen(descriptor))
      near.close()
      #expect(isOpen(descriptor))
      #expect(try await ioError { try await loop.sockSendAll(near, [1]) }.code == .badFileDescriptor)
      #expect(throws: IOError.self) { try near.detach() }
      let again = Socket(adopting: descriptor, kernel: kernel)
      try await loop.sockSendAll(again, [7])
      #expect(try await loop.sockRecv(far, 1) == [7])
      again.close()
    }
  }

  @Test("a transport's socket cannot be detached from it")
  func detachFromTransport() throws {
    try runLoop { loop, kernel in
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let socket: Socket = try #require(recorder.transport.getExtraInfo(.socket))
      #expect(throws: IOError(.badFileDescriptor, "detach", "a socket that is closed or in use")) {
        try socket.detach()
      }
      try peer.send("unharmed")
      try await loop.until { recorder.text == "unharmed" }
      recorder.transport.abort()
      try await loop.until { recorder.isLost }
      peer.close()
    }
  }

  @Test("what takes a socket for good refuses a borrowed one, and does nothing to it")
  func borrowedIsRefused() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      let listener = try listeningSocket(kernel)
      let datagrams = try Socket(.ipv4, .datagram, transportProtocol: 0, kernel: kernel)
      defer { for socket in [near, far, listener, datagrams] { socket.close() } }
      for socket in [near, listener, datagrams] { try socket.setNonBlocking(false) }
      func borrowed(_ socket: Socket) -> Socket { Socket(borrowing: socket.descriptor, kernel: kernel) }
      let refusals = [
        await thrown { try await loop.createConnection({ Recorder() }, socket: borrowed(near)) },
        await thrown { try await loop.connectAcceptedSocket({ Recorder() }, socket: borrowed(near)) },
        await thrown { try await loop.openConnection(socket: borrowed(near)) },
        await thrown { try await loop.createServer({ Recorder() }, socket: borrowed(listener)) },
        await thrown { try await loop.createDatagramEndpoint({ DatagramRecorder() }, socket: borrowed(datagrams)) },
      ]
      #expect(refusals.map { $0 as? EventLoopError } == [EventLoopError?](repeating: .badArgument, count: 5))
      for socket in [near, listener, datagrams] { #expect(try !socket.isNonBlocking) }
    }
  }

  @Test("a borrowed socket is asked each time whether it blocks, since its owner may change that")
  func borrowedMode() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      let borrowed = Socket(borrowing: near.descriptor, kernel: kernel)
      // Of two bytes, so that a call that should be refused would find one rather than block.
      try far.send([1, 2])
      #expect(try await loop.sockRecv(borrowed, 1) == [1])
      try near.setNonBlocking(false)
      #expect(await thrown { try await loop.sockRecv(borrowed, 1) } as? EventLoopError == .badArgument)
    }
  }
}
