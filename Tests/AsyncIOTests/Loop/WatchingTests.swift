// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct WatchingTests {
  /// One iteration of the loop.
  private func turn(_ loop: EventLoop) throws {
    loop.stop()
    try loop.runForever()
  }

  @Test("a reader is called in every poll that finds the descriptor ready, until it is removed")
  func levelTriggered() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      var calls = 0
      try loop.addReader(near.descriptor) { calls += 1 }
      try turn(loop)
      #expect(calls == 0)
      try far.send([1])
      for _ in 0..<3 { try turn(loop) }
      #expect(calls == 3)
      _ = try near.receive(maxBytes: 1)
      try turn(loop)
      #expect(calls == 3)
      try far.send([1])
      #expect(try loop.removeReader(near.descriptor))
      try turn(loop)
      #expect(calls == 3)
    }
  }

  @Test("a slow reader is queued once, however many polls find it ready")
  func queuedOnce() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var calls = 0
      try loop.addReader(near.descriptor) { calls += 1 }
      loop.stop()
      loop.callSoon {}
      try loop.runForever()
      #expect(calls == 1)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a reader hears of the end of file, and a writer of an error")
  func ends() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      var calls: [String] = []
      try loop.addReader(near.descriptor) { calls.append("reader") }
      far.close()
      try turn(loop)
      #expect(calls == ["reader"])
      try loop.removeReader(near.descriptor)
      let pipe = try FileDescriptor.privatePipe()
      try loop.addWriter(pipe.writeEnd) { calls.append("writer") }
      // Full, so that nothing but the reader's end makes it ready.
      try LinuxKernel.shared.setNonBlocking(pipe.writeEnd, true)
      let zeros = [UInt8](repeating: 0, count: 4096)
      while zeros.withUnsafeBytes({ write(pipe.writeEnd.rawValue, $0.baseAddress, 4096) }) > 0 {}
      try turn(loop)
      #expect(calls == ["reader"])
      try pipe.readEnd.close()
      try turn(loop)
      #expect(calls == ["reader", "writer"])
      try loop.removeWriter(pipe.writeEnd)
      try pipe.writeEnd.close()
    }
  }

  @Test("remove tells whether there was something to remove")
  func removeAnswers() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      let fd = near.descriptor
      var answers: [Bool] = [try loop.removeReader(fd), try loop.removeWriter(fd)]
      #expect(answers == [false, false])
      try far.send([1])
      var ran = 0
      try loop.addReader(fd) { ran += 1 }
      try turn(loop)
      #expect(ran == 1)
      answers = [try loop.removeWriter(fd), try loop.removeReader(fd), try loop.removeReader(fd)]
      #expect(answers == [false, true, false])
      answers = [try loop.removeReader(FileDescriptor(rawValue: 100_000))]
      #expect(answers == [false])
    }
  }

  @Test("adding again replaces the callback, also one that is queued already")
  func replaces() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var calls: [Int] = []
      // In front of the reader in the queue of the same iteration.
      loop.callSoon { try loop.addReader(near.descriptor) { calls.append(2) } }
      let first = try loop.addReader(near.descriptor) { calls.append(1) }
      try turn(loop)
      #expect(calls == [])
      #expect(first.isCancelled)
      try turn(loop)
      #expect(calls == [2])
      #expect(kernel.count(of: .add) == 1)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("both directions are independent, and removing the last one unregisters")
  func directions() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var calls: [String] = []
      try loop.addReader(near.descriptor) { calls.append("r") }
      try loop.addWriter(near.descriptor) { calls.append("w") }
      try turn(loop)
      #expect(calls == ["r", "w"])
      try loop.removeReader(near.descriptor)
      try turn(loop)
      #expect(calls == ["r", "w", "w"])
      try loop.addReader(near.descriptor) { calls.append("r2") }
      try loop.removeWriter(near.descriptor)
      try turn(loop)
      #expect(calls == ["r", "w", "w", "r2"])
      #expect(kernel.count(of: .remove) == 0)
      try loop.removeReader(near.descriptor)
      #expect(kernel.count(of: .remove) == 1)
      #expect(loop.readiness.watchedCount == 0)
    }
  }

  @Test("an event for a handle that was cancelled is dropped, and its registration removed")
  func cancelledHandle() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      let handle = try loop.addReader(near.descriptor) { Issue.record("a cancelled reader ran") }
      handle.cancel()
      try turn(loop)
      #expect(kernel.count(of: .remove) == 1)
      #expect(loop.readiness.watchedCount == 0)
      #expect(loop.readiness.watcher(of: near.descriptor) == nil)
    }
  }

  @Test("all four calls reject a descriptor that is none; add rejects what can't be watched")
  func invalid() throws {
    try withLoop { loop, kernel in
      let none = FileDescriptor(rawValue: -1)
      func error(_ method: String) -> IOError { IOError(.badFileDescriptor, method, "descriptor -1") }
      #expect(throws: error("addReader")) { try loop.addReader(none) {} }
      #expect(throws: error("addWriter")) { try loop.addWriter(none) {} }
      #expect(throws: error("removeReader")) { try loop.removeReader(none) }
      #expect(throws: error("removeWriter")) { try loop.removeWriter(none) }
      let closed = FileDescriptor(rawValue: 1_000_000)
      #expect(throws: IOError(.badFileDescriptor, "addReader", "descriptor 1000000")) { try loop.addReader(closed) {} }
      #expect(try loop.removeReader(closed) == false)
      let file = try FileDescriptor.open("/proc/self/exe", .readOnly)
      #expect(throws: IOError(.notPermitted, "addReader", "descriptor \(file.rawValue)")) {
        try loop.addReader(file) {}
      }
      #expect(loop.readiness.watchedCount == 0)
      try file.close()
    }
  }

  @Test("all four calls refuse a live transport's descriptor")
  func transportOwned() throws {
    try runLoop { loop, kernel in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, _ in for try await _ in reader {} }
      let listener = try #require(server.sockets.first)
      let port = Int(try #require(listener.localAddress?.port))
      let (_, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      let refused = EventLoopError(.descriptorInUse, "")
      let owned = kernel.openDescriptors.filter { $0 > 2 }.map { FileDescriptor(rawValue: $0) }
      #expect(owned.contains(listener.descriptor) && owned.count >= 2)
      for fd in owned {
        #expect(throws: refused) { try loop.addReader(fd) {} }
        #expect(throws: refused) { try loop.addWriter(fd) {} }
        #expect(throws: refused) { try loop.removeReader(fd) }
        #expect(throws: refused) { try loop.removeWriter(fd) }
      }
      writer.close()
      try await writer.waitClosed()
      server.close()
      try await server.waitClosed()
    }
  }

  @Test("an event for a number's previous owner is not delivered to the next, within one batch")
  func reusedNumber() throws {
    try withLoop { loop, kernel in
      let pairs = [try Socket.pair(), try Socket.pair()]
      let watched = pairs.map(\.0.descriptor)
      for pair in pairs { try pair.1.send([1]) }
      var told: [Int] = []
      var nextOwner = 0
      for index in 0...1 {
        // Told inside the delivery, as a transport is: then the other's event of the same batch is still to come.
        let watcher = InlineWatcher {
          told.append(index)
          let victim = watched[1 - index]
          loop.release(victim)
          loop.claim(victim, for: InlineWatcher { nextOwner += 1 })
          // The same interest as before, so that the generation alone tells the owners apart.
          try? loop.setInterest(.read, for: victim)
        }
        loop.claim(watched[index], for: watcher)
        try loop.setInterest(.read, for: watched[index])
      }
      try turn(loop)
      #expect(told.count == 1)
      #expect(nextOwner == 0)
      // Its own events do reach it.
      loop.release(watched[told[0]])
      try turn(loop)
      #expect(nextOwner == 1)
      for descriptor in watched { loop.release(descriptor) }
    }
  }

  @Test("a reader may remove itself, and the other direction, and stop the loop")
  func removesItself() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      var calls = 0
      try loop.addWriter(near.descriptor) { Issue.record("it was removed in the same batch") }
      try loop.addReader(near.descriptor) {
        calls += 1
        let removed = [try loop.removeReader(near.descriptor), try loop.removeWriter(near.descriptor)]
        #expect(removed == [true, true])
        near.close()
        loop.stop()
      }
      try loop.runForever()
      try turn(loop)
      #expect(calls == 1)
    }
  }

  @Test("letting go of a replaced reader may remove the one that replaced it")
  func reentrantReplace() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      let probe = { [unowned loop] in ReleaseProbe { _ = try? loop.removeReader(near.descriptor) } }
      try loop.addReader(near.descriptor) { [p = probe()] in p.touch() }
      try loop.addReader(near.descriptor) { Issue.record("it was removed") }
      #expect(loop.readiness.watchedCount == 0)
      try turn(loop)
      #expect(try loop.removeReader(near.descriptor) == false)
      // Nothing is left half-registered.
      var calls = 0
      try loop.addReader(near.descriptor) { calls += 1 }
      try turn(loop)
      #expect(calls == 1)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a descriptor that could not be added belongs to nobody, and may be added later")
  func failedAdd() throws {
    try withLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      try far.send([1])
      kernel.inject(.noMemory, into: .add)
      let error = IOError(.noMemory, "addReader", "descriptor \(near.descriptor.rawValue)")
      #expect(throws: error) { try loop.addReader(near.descriptor) { Issue.record("it was refused") } }
      #expect(loop.readiness.watchedCount == 0)
      #expect(try loop.removeReader(near.descriptor) == false)
      var calls = 0
      try loop.addReader(near.descriptor) { calls += 1 }
      try turn(loop)
      #expect(calls == 1)
      try loop.removeReader(near.descriptor)
    }
  }

  @Test("a reader's error is reported, and the reader stays")
  func readerThrows() throws {
    try withLoop { loop, kernel in
      let errors = loop.collectErrors()
      let (near, far) = try Socket.pair()
      try far.send([1])
      try loop.addReader(near.descriptor) { throw TestError(number: 59) }
      for _ in 0..<2 { try turn(loop) }
      #expect(errors.contexts.compactMap { ($0.error as? TestError)?.number } == [59, 59])
      try loop.removeReader(near.descriptor)
    }
  }
}

/// Told inside the delivery of a batch, as a transport is.
private final class InlineWatcher: ReadinessWatcher {
  private let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
  func descriptorIsReady(_ ready: Interest) { body() }
  var ownsDescriptor: Bool { true }
  func loopWasClosed() {}
}
