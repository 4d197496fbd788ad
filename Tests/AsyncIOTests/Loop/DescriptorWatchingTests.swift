// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// `addReader`, `addWriter` and their opposites, on descriptors of the program's own.
@Suite struct DescriptorWatchingTests {
  @Test(
    "a reader runs in each poll that finds the descriptor readable, until it is removed",
    arguments: WatchableKind.allCases)
  func levelTriggered(_ kind: WatchableKind) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kind.open()
      defer {
        try? reading.close()
        if writing != reading { try? writing.close() }
      }
      var calls = 0
      try loop.addReader(reading) {
        calls += 1
        // Removed from within, with the bytes still there.
        if calls == 3 { try loop.removeReader(reading) }
      }
      try await loop.turn()
      #expect(calls == 0)
      try writing.poke()
      try await loop.until { calls == 3 }
      try await loop.turn()
      #expect(calls == 3)

      try loop.addReader(reading) {
        calls += 1
        try reading.drain()
      }
      try await loop.until { calls == 4 }
      try await loop.turn()
      #expect(calls == 4, "nothing is left to read")
      try writing.poke()
      try await loop.until { calls == 5 }
      #expect(try loop.removeReader(reading))
    }
  }

  @Test("a writer runs in each poll that finds room", arguments: [WatchableKind.pipe, .socketPair, .counter])
  func writer(_ kind: WatchableKind) throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try kind.open()
      defer {
        try? reading.close()
        if writing != reading { try? writing.close() }
      }
      var calls = 0
      try loop.addWriter(writing) {
        calls += 1
        if calls == 3 { try loop.removeWriter(writing) }
      }
      try await loop.until { calls == 3 }
      try await loop.turn()
      #expect(calls == 3)
    }
  }

  @Test("a reader runs at the end of file and at a hang-up")
  func endOfFile() throws {
    try runLoop { loop, kernel in
      for kind in [WatchableKind.pipe, .socketPair] {
        let (reading, writing) = try kind.open()
        defer { try? reading.close() }
        var atEnd = false
        try loop.addReader(reading) { atEnd = true }
        try await loop.turn()
        #expect(!atEnd)
        try writing.close()
        try await loop.until { atEnd }
        #expect(try loop.removeReader(reading))
      }
    }
  }

  @Test("a writer and a reader run on an error, also when there is no room")
  func errorWakesBoth() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try FileDescriptor.privatePipe()
      defer { try? writing.close() }
      try kernel.setNonBlocking(writing, true)
      let block = [UInt8](repeating: 0, count: 4096)
      while (try? block.withUnsafeBytes { try writing.write($0) }) != nil {}
      var (readers, writers) = (0, 0)
      try loop.addReader(writing) { readers += 1 }
      try loop.addWriter(writing) { writers += 1 }
      try await loop.turn()
      #expect(readers == 0 && writers == 0)
      try reading.close()
      try await loop.until { readers > 0 && writers > 0 }
      #expect(try loop.removeReader(writing))
      #expect(try loop.removeWriter(writing))
    }
  }

  @Test("removing tells whether there was something, also after it ran; an unknown descriptor is false")
  func removal() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try WatchableKind.socketPair.open()
      defer { for end in [reading, writing] { try? end.close() } }
      #expect(try !loop.removeReader(reading))
      #expect(try !loop.removeWriter(reading))
      #expect(try !loop.removeReader(FileDescriptor(rawValue: 1 << 20)))
      var calls = 0
      try loop.addReader(reading) { calls += 1 }
      #expect(try !loop.removeWriter(reading))
      try writing.poke()
      try await loop.until { calls > 0 }
      #expect(try loop.removeReader(reading))
      #expect(try !loop.removeReader(reading))
    }
  }

  @Test("a second callback replaces the first, also when that is queued already")
  func replacement() throws {
    try runLoop { loop, kernel in
      let pairs = try (0..<2).map { _ in try WatchableKind.socketPair.open() }
      defer { for pair in pairs { for end in [pair.reading, pair.writing] { try? end.close() } } }
      for pair in pairs { try pair.writing.poke() }
      var ranFirst: [Int] = []
      var ranSecond: Set<Int> = []
      var handles: [Handle] = []
      for index in 0..<2 {
        let handle = try loop.addReader(pairs[index].reading) {
          ranFirst.append(index)
          try pairs[index].reading.drain()
          // Both are ready in the same poll; whichever comes first replaces the other, which is queued by now.
          let other = 1 - index
          try loop.addReader(pairs[other].reading) {
            ranSecond.insert(other)
            try pairs[other].reading.drain()
          }
        }
        handles.append(handle)
      }
      try await loop.until { !ranSecond.isEmpty }
      try await loop.turn()
      #expect(ranFirst.count == 1)
      let first = try #require(ranFirst.first)
      #expect(ranSecond == [1 - first])
      #expect(handles[1 - first].isCancelled && !handles[first].isCancelled)
      for pair in pairs { #expect(try loop.removeReader(pair.reading)) }
    }
  }

  @Test("both directions are independent, and removing the last one unregisters")
  func directions() throws {
    try runLoop { loop, kernel in
      let (near, far) = try WatchableKind.socketPair.open()
      defer { for end in [near, far] { try? end.close() } }
      var (reads, writes) = (0, 0)
      try loop.addReader(near) {
        reads += 1
        try near.drain()
      }
      try loop.addWriter(near) { writes += 1 }
      try await loop.until { writes > 0 }
      #expect(reads == 0)
      try far.poke()
      try await loop.until { reads == 1 }
      let removed = kernel.count(of: .remove)
      #expect(try loop.removeWriter(near))
      #expect(kernel.count(of: .remove) == removed)
      let before = writes
      try far.poke()
      try await loop.until { reads == 2 }
      #expect(writes == before)
      #expect(try loop.removeReader(near))
      #expect(kernel.count(of: .remove) == removed + 1)
      #expect(loop.readiness.watcher(of: near) == nil)
    }
  }

  @Test("an event for a cancelled callback is dropped, and its registration with it")
  func cancelledHandle() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try WatchableKind.pipe.open()
      defer { for end in [reading, writing] { try? end.close() } }
      var calls = 0
      let handle = try loop.addReader(reading) { calls += 1 }
      handle.cancel()
      try writing.poke()
      try await loop.until { loop.readiness.watcher(of: reading) == nil }
      #expect(calls == 0)
      #expect(kernel.count(of: .remove) == 1)
      #expect(try !loop.removeReader(reading))
    }
  }

  @Test("a negative descriptor is rejected by all four, a closed one or a file by those that add")
  func invalidDescriptors() throws {
    try withLoop { loop, kernel in
      let negative = FileDescriptor(rawValue: -1)
      #expect(throws: IOError(.badFileDescriptor, "addReader", "descriptor -1")) {
        try loop.addReader(negative) {}
      }
      #expect(throws: IOError(.badFileDescriptor, "addWriter", "descriptor -1")) {
        try loop.addWriter(negative) {}
      }
      #expect(throws: IOError(.badFileDescriptor, "removeReader", "descriptor -1")) { try loop.removeReader(negative) }
      #expect(throws: IOError(.badFileDescriptor, "removeWriter", "descriptor -1")) { try loop.removeWriter(negative) }

      let nobody = FileDescriptor(rawValue: 1 << 20)
      #expect(throws: IOError(.badFileDescriptor, "addReader", "descriptor \(1 << 20)")) {
        try loop.addReader(nobody) {}
      }
      #expect(try !loop.removeReader(nobody))

      let file = try TemporaryFolder().file([1, 2, 3])
      defer { try? file.close() }
      #expect(throws: IOError(.notPermitted, "addReader", "descriptor \(file.rawValue)")) {
        try loop.addReader(file) {}
      }
      #expect(throws: IOError(.notPermitted, "addWriter", "descriptor \(file.rawValue)")) {
        try loop.addWriter(file) {}
      }
      #expect(try !loop.removeReader(file))
      #expect(loop.readiness.watchedCount == 0)
    }
  }

  @Test("all four refuse what belongs to a transport or a server, until it closes")
  func ownedDescriptors() throws {
    try runLoop { loop, kernel in
      func expectRefused(_ descriptor: FileDescriptor) throws {
        #expect(throws: EventLoopError.inUse) { try loop.addReader(descriptor) {} }
        #expect(throws: EventLoopError.inUse) { try loop.addWriter(descriptor) {} }
        #expect(throws: EventLoopError.inUse) { try loop.removeReader(descriptor) }
        #expect(throws: EventLoopError.inUse) { try loop.removeWriter(descriptor) }
      }
      let (recorder, peer) = try await PairKind.socketPair.transport(loop, kernel)
      let descriptor = recorder.transport.socket.descriptor
      try expectRefused(descriptor)
      recorder.transport.close()
      try loop.addReader(descriptor) {}
      #expect(try loop.removeReader(descriptor))
      try await loop.until { recorder.isLost }
      peer.close()

      let (server, _) = try await recordingServer(loop)
      let listening = try #require(server.sockets.first).descriptor
      try expectRefused(listening)
      server.close()
    }
  }

  @Test("Two numbers of one open file are watched apart")
  func duplicates() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try WatchableKind.pipe.open()
      let copy = try reading.duplicate()
      defer { for end in [reading, writing, copy] { try? end.close() } }
      var (first, second) = (0, 0)
      try loop.addReader(reading) { first += 1 }
      try loop.addReader(copy) { second += 1 }
      try writing.poke()
      try await loop.until { first > 0 && second > 0 }
      #expect(try loop.removeReader(reading))
      let (firstBefore, secondBefore) = (first, second)
      try await loop.until { second > secondBefore }
      #expect(first == firstBefore)
      #expect(try loop.removeReader(copy))
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
      try expectFree(near, loop)
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
      try expectFree(near, loop)
    }
  }

  /// Checks that nobody watches a descriptor that is readable, and that somebody can: nothing is left half-registered.
  private func expectFree(
    _ socket: Socket, _ loop: EventLoop, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try loop.removeReader(socket.descriptor) == false, sourceLocation: sourceLocation)
    var calls = 0
    try loop.addReader(socket.descriptor) { calls += 1 }
    try turn(loop)
    #expect(calls == 1, sourceLocation: sourceLocation)
    try loop.removeReader(socket.descriptor)
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
  override func descriptorIsReady(_ ready: Interest) { body() }
}
