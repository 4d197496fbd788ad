// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// The socket below an engine, by itself.
@Suite struct SocketWireTests {
  /// Lends a wire on one end of a connection, and the other end.
  private func withWire(_ body: (SocketWire, TestKernel, Peer) throws -> Void) throws {
    try withDescriptor { descriptor, kernel, peer in try body(SocketWire(kernel, descriptor), kernel, peer) }
  }

  private func withDescriptor(_ body: (FileDescriptor, TestKernel, Peer) throws -> Void) throws {
    let kernel = TestKernel()
    let (near, far) = try kernel.makeSocketPair(.stream)
    let socket = Socket(adopting: near, kernel: kernel)
    let peer = Peer(Socket(adopting: far, kernel: kernel))
    defer {
      socket.close()
      peer.close()
      #expect(kernel.openDescriptors == [], "descriptors were left open")
    }
    try body(near, kernel, peer)
  }

  // MARK: From the peer

  @Test("bytes that somebody else received come before the socket's, in their order, and without a report")
  func earlyBytes() throws {
    try withWire { wire, kernel, peer in
      #expect(wire.early.isEmpty)
      wire.prepend(octets("cd"))
      wire.prepend(octets("ab"))
      try peer.send("ef")
      #expect(!wire.early.isEmpty)
      #expect(wire.read(upTo: 3) == "abc")
      wire.allowReceiving()
      #expect(!wire.early.isEmpty)
      #expect(wire.read(upTo: 3) == "d", "the two are kept apart")
      #expect(wire.early.isEmpty && kernel.count(of: .receive) == 0)
      #expect(wire.read(upTo: 3) == "ef")
    }
  }

  @Test("Nothing is received before the poller has reported anything")
  func withoutReport() throws {
    try withWire { wire, kernel, peer in
      try peer.send("x")
      #expect(wire.read(upTo: 10) == "")
      #expect(kernel.count(of: .receive) == 0)
      wire.allowReceiving()
      #expect(wire.read(upTo: 10) == "x")
    }
  }

  @Test("After a full buffer the kernel is asked again, after less than that not before the next report")
  func shortReceive() throws {
    try withWire { wire, kernel, peer in
      try peer.send("abcdefg")
      wire.allowReceiving()
      #expect(wire.read(upTo: 3) == "abc")
      #expect(wire.read(upTo: 5) == "defg")
      try peer.send("h")
      #expect(wire.read(upTo: 5) == "")
      #expect(kernel.count(of: .receive) == 2, "a system call that the poller makes needless")
      wire.allowReceiving()
      #expect(wire.read(upTo: 5) == "h")
      #expect(wire.end == nil)
    }
  }

  @Test("An engine that asks without room does not make it the end of the stream")
  func withoutRoom() throws {
    try withWire { wire, kernel, peer in
      try peer.send("x")
      wire.allowReceiving()
      #expect(wire.read(upTo: 0) == "")
      #expect(wire.end == nil && kernel.count(of: .receive) == 0)
      #expect(wire.read(upTo: 1) == "x")
    }
  }

  @Test("A peer that sends without end does not get more than its share of one report; the next has as much")
  func share() throws {
    try withWire { wire, kernel, peer in
      let block = [UInt8](repeating: 7, count: 16 * 1024)
      for _ in 0..<2 {
        wire.allowReceiving()
        var received = 0
        while received < 2 * EventLoop.readLimit {
          try peer.send(block)
          let count = wire.read(upTo: block.count).utf8.count
          if count == 0 { break }
          received += count
        }
        #expect(received == EventLoop.readLimit)
        // What is left, for the next round to begin afresh.
        wire.allowReceiving()
        #expect(wire.read(upTo: block.count).utf8.count == block.count)
      }
    }
  }

  @Test("The end of the stream is kept, and the kernel asked no more")
  func endOfStream() throws {
    try withWire { wire, kernel, peer in
      try peer.send("last")
      try peer.shutDownWriting()
      wire.allowReceiving()
      #expect(wire.read(upTo: 4) == "last")
      #expect(wire.end == nil)
      #expect(wire.read(upTo: 4) == "")
      #expect(wire.end == .ofStream)
      let calls = kernel.count(of: .receive)
      wire.allowReceiving()
      #expect(wire.read(upTo: 4) == "")
      #expect(kernel.count(of: .receive) == calls)
      // Bytes of somebody else's are still to be had.
      wire.prepend(octets("early"))
      #expect(wire.read(upTo: 10) == "early")
    }
  }

  @Test("A failure is an end with its reason; a socket without bytes is no end")
  func failures() throws {
    try withWire { wire, kernel, peer in
      wire.allowReceiving()
      #expect(wire.read(upTo: 4) == "")
      #expect(wire.end == nil)
      try peer.send("x")
      #expect(wire.read(upTo: 4) == "", "asked again without a report")
      kernel.inject(.connectionReset, into: .receive)
      wire.allowReceiving()
      #expect(wire.read(upTo: 4) == "")
      #expect(wire.end == .failure(.connectionReset))
      wire.allowReceiving()
      #expect(wire.read(upTo: 4) == "", "received after the end")
    }
  }

  @Test("A report says how the stream has ended, whether the kernel has nothing, and what has come since the last one")
  func reports() throws {
    try withWire { wire, kernel, peer in
      #expect(wire.takeReport() == WireReport())
      try peer.send("abcdef")
      wire.allowReceiving()
      _ = wire.read(upTo: 3)
      _ = wire.read(upTo: 2)
      #expect(wire.takeReport() == WireReport(received: 5))
      _ = wire.read(upTo: 1)
      #expect(wire.read(upTo: 1) == "")
      #expect(wire.takeReport() == WireReport(isKernelEmpty: true, received: 1))
      #expect(wire.takeReport() == WireReport(isKernelEmpty: true))
      try peer.shutDownWriting()
      wire.allowReceiving()
      #expect(wire.takeReport() == WireReport())
      _ = wire.read(upTo: 1)
      #expect(wire.takeReport() == WireReport(end: .ofStream))
    }
  }

  // MARK: To the peer

  @Test("Each write is sent at once, an empty one not at all")
  func directSends() throws {
    try withWire { wire, kernel, peer in
      wire.write("ab")
      wire.write("")
      wire.write("c")
      #expect(kernel.count(of: .send) == 2)
      #expect(wire.sentCount == 3 && wire.pending.isEmpty)
      try peer.expect("abc")
    }
  }

  @Test("What the kernel does not take waits, and what is written later waits behind it")
  func shortSend() throws {
    try withWire { wire, kernel, peer in
      kernel.limit(.send, toBytes: 3)
      kernel.limit(.sendGathering, toBytes: 2)
      wire.write("abcdef")
      #expect(wire.sentCount == 3 && wire.pending.count == 3)
      wire.write("ghi")
      #expect(kernel.count(of: .send) == 1, "something was sent past what waits")
      #expect(wire.sentCount == 3 && wire.pending.count == 6)
      for left in [4, 2, 0] {
        wire.flush()
        #expect(wire.pending.count == left && wire.sentCount == 9 - left)
      }
      wire.write("jkl")
      #expect(kernel.count(of: .send) == 2 && wire.pending.isEmpty)
      try peer.expect("abcdefghijkl")
      #expect(wire.sendFailure == nil)
    }
  }

  @Test("A kernel without room is no failure")
  func noRoom() throws {
    try withWire { wire, kernel, peer in
      kernel.inject(.wouldBlock, into: .send)
      wire.write("ab")
      #expect(wire.sendFailure == nil && wire.sentCount == 0 && wire.pending.count == 2)
      kernel.inject(.wouldBlock, into: .sendGathering)
      wire.flush()
      #expect(wire.pending.count == 2 && wire.sendFailure == nil)
      wire.flush()
      try peer.expect("ab")
    }
  }

  @Test("A failure is kept, and nothing is sent any more")
  func sendFailure() throws {
    try withWire { wire, kernel, peer in
      kernel.inject(.brokenPipe, into: .send)
      wire.write("ab")
      #expect(wire.sendFailure == .brokenPipe)
      wire.write("cd")
      #expect(kernel.count(of: .send) == 1 && wire.pending.isEmpty && wire.sentCount == 0)
      try peer.expect("")
    }
  }

  @Test("A failure to send what had to wait is kept as well")
  func flushFailure() throws {
    try withWire { wire, kernel, peer in
      kernel.inject(.wouldBlock, into: .send)
      wire.write("ab")
      kernel.inject(.connectionReset, into: .sendGathering)
      wire.flush()
      #expect(wire.sendFailure == .connectionReset && wire.sentCount == 0)
      wire.flush()
      #expect(kernel.count(of: .sendGathering) == 1)
      try peer.expect("")
    }
  }

  @Test("Records that go together are one system call, and the memory for them is used again")
  func joining() throws {
    try withWire { wire, kernel, peer in
      var memory: [UInt8] = []
      memory.reserveCapacity(1000)
      wire.beginJoining(&memory)
      #expect(memory.capacity == 0, "two would write to the same memory")
      wire.write("ab")
      wire.write("cd")
      #expect(kernel.count(of: .send) == 0)
      wire.endJoining(&memory)
      #expect(kernel.count(of: .send) == 1 && wire.sentCount == 4)
      #expect(memory == [] && memory.capacity >= 1000)
      wire.endJoining(&memory)
      wire.beginJoining(&memory)
      wire.endJoining(&memory)
      #expect(kernel.count(of: .send) == 1, "nothing was there to be sent")
      wire.write("e")
      try peer.expect("abcde")
    }
  }

  @Test("Records that go together wait behind those that wait, or what is left of them does")
  func joiningBehindPending() throws {
    try withWire { wire, kernel, peer in
      var memory: [UInt8] = []
      kernel.limit(.send, toBytes: 1)
      for text in ["abc", "def"] {
        wire.beginJoining(&memory)
        wire.write(text)
        wire.endJoining(&memory)
      }
      #expect(kernel.count(of: .send) == 1 && wire.sentCount == 1 && wire.pending.count == 5)
      wire.flush()
      try peer.expect("abcdef")
    }
  }

  // MARK: From one to the other

  @Test("A wire that takes over has what waited on both sides, in order, and how the stream ended")
  func takeOver() throws {
    try withDescriptor { descriptor, kernel, peer in
      let (old, new) = (SocketWire(kernel, descriptor), SocketWire(kernel, descriptor))
      old.prepend(octets("first"))
      new.prepend(octets(" second"))
      kernel.limit(.send, toBytes: 1)
      kernel.limit(.sendGathering, toBytes: 1)
      old.write("abc")
      old.flush()
      #expect(old.pending.count == 1 && old.pending.firstOffset > 0)
      new.takeOver(old)
      #expect(old.early.isEmpty && old.pending.isEmpty)
      #expect(new.read(upTo: 100) == "first second")
      new.write("def")
      #expect(new.pending.count == 4)
      kernel.limit(.sendGathering, toBytes: nil)
      new.flush()
      try peer.expect("abcdef")
      #expect(new.end == nil && new.sendFailure == nil)
      kernel.inject(.connectionReset, into: .receive)
      old.allowReceiving()
      _ = old.read(upTo: 1)
      kernel.inject(.brokenPipe, into: .send)
      old.write("x")
      new.takeOver(old)
      #expect(new.sendFailure == .brokenPipe)
      #expect(new.end == .failure(.connectionReset))
    }
  }

  @Test("After a discard nothing waits on either side")
  func discard() throws {
    try withWire { wire, kernel, peer in
      kernel.inject(.wouldBlock, into: .send)
      wire.prepend(octets("x"))
      wire.write("y")
      wire.discard()
      #expect(wire.early.isEmpty && wire.pending.isEmpty)
      #expect(wire.read(upTo: 1) == "")
    }
  }
}

extension SocketWire {
  fileprivate func read(upTo size: Int) -> String {
    var bytes = [UInt8](repeating: 0, count: size)
    var span = bytes.mutableSpan
    let count = read(into: &span)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  fileprivate func write(_ text: String) {
    let bytes = Array(text.utf8)
    write(bytes.span)
  }
}

extension Peer {
  /// Checks what has arrived by now.
  fileprivate func expect(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let bytes = try receiveNow() ?? []
    #expect(String(decoding: bytes, as: UTF8.self) == text, sourceLocation: sourceLocation)
  }
}
