// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

/// Tasks that wait for a descriptor, beside callbacks and one another.
@Suite struct DescriptorWaitingTests {
  @Test("A task cannot wait where a callback or another task does, and harms neither")
  func oneListener() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      var calls = 0
      try loop.addReader(near.descriptor) { calls += 1 }
      #expect(await thrown { try await loop.sockRecv(near, 10) } as? EventLoopError == .inUse)
      try far.send([1])
      try await loop.until { calls > 0 }
      #expect(try loop.removeReader(near.descriptor))
      #expect(try near.receive(maxBytes: 10) == [1])

      let waiting = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.turn()
      #expect(await thrown { try await loop.sockRecv(near, 10) } as? EventLoopError == .inUse)
      try far.send([2])
      #expect(try await waiting.value == [2])
    }
  }

  @Test("a callback that takes a waiting task's place wakes it with an error")
  func callbackReplacesWaiter() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      let waiting = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.turn()
      #expect(try !loop.removeReader(near.descriptor), "a task's wait is no callback to remove")
      var calls = 0
      try loop.addReader(near.descriptor) { calls += 1 }
      #expect(await thrown { try await waiting.value } as? EventLoopError == .inUse)
      try far.send([1])
      try await loop.until { calls > 0 }
      #expect(try loop.removeReader(near.descriptor))
    }
  }

  @Test("a task may wait in one direction while a callback has the other")
  func waiterBesideCallback() throws {
    try runLoop { loop, kernel in
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      var writes = 0
      try loop.addWriter(near.descriptor) { writes += 1 }
      let waiting = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.until { writes > 2 }
      try far.send([7])
      #expect(try await waiting.value == [7])
      let before = writes
      try await loop.until { writes > before }
      let cancelled = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.turn()
      cancelled.cancel()
      #expect(await thrown { try await cancelled.value } is CancellationError)
      let last = writes
      try await loop.until { writes > last }
      #expect(try loop.removeWriter(near.descriptor))
      #expect(loop.readiness.watcher(of: near.descriptor) == nil)
    }
  }

  @Test("the end of a wait on a closed descriptor leaves its number's next owner alone")
  func numberUsedAgain() throws {
    try runLoop { loop, kernel in
      let (opened, far) = try await PairKind.socketPair.make(loop, kernel)
      let (next, peer) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [far, next, peer] { socket.close() } }
      let near = Socket(borrowing: try opened.detach(), kernel: kernel)
      let waiting = loop.createTask { try await loop.sockRecv(near, 10) }
      try await loop.turn()
      // In one step, closes the number behind the task's back and makes it another socket's.
      #expect(dup2(next.descriptor.rawValue, near.descriptor.rawValue) == near.descriptor.rawValue)
      let recorder = Recorder()
      let socket = Socket(adopting: near.descriptor, kernel: kernel)
      let (transport, _) = try await loop.createConnection({ recorder }, socket: socket)
      let error = try await ioError { try await waiting.value }
      #expect(error.code == .canceled && error.subject?.hasSuffix("(it has a new owner)") == true)
      try peer.send(Array("still there".utf8))
      try await loop.until("the next owner hears of its data") { recorder.text == "still there" }
      transport.close()
      try await loop.until { recorder.isLost }
    }
  }

  @Test("a loop closes under a waiting task")
  func loopCloses() throws {
    try withLoop { loop, kernel in
      let (first, second) = try kernel.makeSocketPair(.stream)
      let sockets = [first, second].map { Socket(adopting: $0, kernel: kernel) }
      defer { for socket in sockets { socket.close() } }
      let waiting = loop.createTask { try await loop.sockRecv(sockets[0], 10) }
      try loop.addWriter(sockets[0].descriptor) { loop.stop() }
      try loop.runForever()
      loop.close()
      waiting.cancel()
      #expect(loop.isClosed)
    }
  }
}
