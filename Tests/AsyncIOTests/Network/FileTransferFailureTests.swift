// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Files that cannot be sent, or not in one go.
@Suite struct FileTransferFailureTests {
  @Test(
    "where the kernel cannot, before the first byte, the file is read and written",
    arguments: [Errno.invalidArgument, .noFunction])
  func fallback(_ failure: Errno) throws {
    try runLoop { loop, kernel in
      let bytes = pattern(700_000)
      let file = try TemporaryFolder().file(bytes)
      defer { try? file.close() }
      kernel.inject(failure, into: .sendFile, times: 2)
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file, offset: 5, count: 600_000) }
      #expect(try await peer.receive(600_000, on: loop) == Array(bytes[5..<600_005]))
      #expect(try await sending.value == 600_000)
      #expect(try file.seek(offset: 0, from: .current) == 600_005)
      #expect(kernel.count(of: .sendFile) == 1)

      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      let overSocket = loop.createTask { try await loop.sockSendFile(near, file, offset: 699_990) }
      var received: [UInt8] = []
      while received.count < 10 { received += try await loop.sockRecv(far, 100) }
      #expect(try await overSocket.value == 10 && received == bytes.suffix(10))
      try await end(recorder, peer, loop)
    }
  }

  @Test("without the fallback that is an error, and the position is kept")
  func noFallback() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(100))
      defer { try? file.close() }
      try file.seek(offset: 42, from: .start)
      kernel.inject(.invalidArgument, into: .sendFile, times: 2)
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let socket: Socket = try #require(recorder.transport.getExtraInfo(.socket))
      let error = await thrown { try await loop.sendFile(recorder.transport, file, fallback: false) }
      #expect((error as? EventLoopError)?.code == .sendFileNotAvailable)
      #expect((error as? EventLoopError)?.description.contains("EINVAL") == true)
      #expect(try file.seek(offset: 0, from: .current) == 42)
      #expect(!socket.isClosed)
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      let overSocket = await thrown { try await loop.sockSendFile(near, file, fallback: false) }
      #expect((overSocket as? EventLoopError)?.code == .sendFileNotAvailable)
      for socket in [near, far] { socket.close() }
      recorder.transport.write("ok")
      #expect(try await peer.receive(2, on: loop) == Array("ok".utf8), "nothing of the file came before")
      try await end(recorder, peer, loop)
    }
  }

  @Test(
    "a failure after the first byte surfaces, and the position is behind what was sent",
    arguments: [Errno.invalidArgument, .ioError])
  func laterFailure(_ failure: Errno) throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(1000))
      defer { try? file.close() }
      kernel.limit(.sendFile, toBytes: 100)
      kernel.inject(failure, into: .sendFile, skip: 3)
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let error = try await ioError { try await loop.sendFile(recorder.transport, file, offset: 50) }
      #expect(error == IOError(failure, "sendfile", "descriptor \(file.rawValue)"))
      #expect(try file.seek(offset: 0, from: .current) == 350)
      #expect(try await peer.receive(300, on: loop) == Array(pattern(1000)[50..<350]))
      try await end(recorder, peer, loop)
    }
  }

  @Test("A failure that is not of the call's kind surfaces at once, without fallback")
  func otherFailure() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(10))
      defer { try? file.close() }
      kernel.inject(.ioError, into: .sendFile)
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      #expect(try await ioError { try await loop.sendFile(recorder.transport, file) }.code == .ioError)
      #expect(try peer.receiveNow() == nil)
      try await end(recorder, peer, loop)
    }
  }

  @Test("A pipe has no offsets: it is refused by name, and nothing is sent or taken from it")
  func pipe() throws {
    try runLoop { loop, kernel in
      let (reading, writing) = try FileDescriptor.privatePipe()
      defer { for end in [reading, writing] { try? end.close() } }
      try writing.writeAll([1, 2, 3])
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let error = try await ioError { try await loop.sendFile(recorder.transport, reading) }
      #expect(error == IOError(.illegalSeek, "pread", "descriptor \(reading.rawValue)"))
      let refused = await thrown { try await loop.sendFile(recorder.transport, reading, fallback: false) }
      #expect((refused as? EventLoopError)?.code == .sendFileNotAvailable)
      recorder.transport.write("ok")
      #expect(try await peer.receive(2, on: loop) == Array("ok".utf8))
      try await end(recorder, peer, loop)
    }
  }

  @Test("cancelling removes the write interest, and leaves the transport usable", arguments: [false, true])
  func cancellation(isFallback: Bool) throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(plenty))
      defer { try? file.close() }
      if isFallback { kernel.inject(.noFunction, into: .sendFile) }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let transport = recorder.transport
      let sending = loop.createTask { try await loop.sendFile(transport, file) }
      try await loop.until { transport.fileTransfer?.waiter != nil }
      sending.cancel()
      #expect(transport.fileTransfer?.waiter == nil, "the interest is gone before the task has noticed")
      #expect(await thrown { try await sending.value } is CancellationError)
      let sent = Int(try file.seek(offset: 0, from: .current))
      #expect(sent > 0 && sent < plenty)
      transport.write("after")
      transport.writeEOF()
      let received = try await peer.receiveToEnd(on: loop)
      #expect(received == Array(pattern(plenty).prefix(sent)) + Array("after".utf8))
      try await end(recorder, peer, loop)
    }
  }

  @Test("cancelling before the earlier writes are out sends nothing of the file")
  func cancelledWhileFlushing() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file([1, 2, 3])
      defer { try? file.close() }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      recorder.transport.write(pattern(plenty))
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      try await loop.turn()
      sending.cancel()
      #expect(await thrown { try await sending.value } is CancellationError)
      recorder.transport.writeEOF()
      #expect(try await peer.receiveToEnd(on: loop) == pattern(plenty))
      #expect(kernel.count(of: .sendFile) == 0)
      try await end(recorder, peer, loop)
    }
  }

  @Test("cancelling sockSendFile leaves the socket unwatched")
  func cancelledSocket() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(plenty))
      defer { try? file.close() }
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      let sending = loop.createTask { try await loop.sockSendFile(near, file) }
      try await loop.until { loop.readiness.watchedCount == 1 }
      sending.cancel()
      #expect(loop.readiness.watchedCount == 0)
      #expect(await thrown { try await sending.value } is CancellationError)
    }
  }

  @Test("writeEOF and close during a transfer wait for the file", arguments: [true, false])
  func endsWait(byClose: Bool) throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(plenty))
      defer { try? file.close() }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      try await loop.until { recorder.transport.fileTransfer?.waiter != nil }
      if byClose { recorder.transport.close() } else { recorder.transport.writeEOF() }
      try await loop.turn()
      #expect(!recorder.isLost)
      #expect(try await peer.receiveToEnd(on: loop) == pattern(plenty))
      #expect(try await sending.value == plenty)
      if byClose {
        try await loop.until { recorder.isLost }
        #expect(recorder.calls == [.made, .lost(nil)])
        peer.close()
      } else {
        try await end(recorder, peer, loop)
      }
    }
  }

  @Test("Aborting during a transfer, or in the middle of a read, ends it with an error", arguments: [false, true])
  func abort(isFallback: Bool) throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(plenty))
      defer { try? file.close() }
      if isFallback { kernel.inject(.noFunction, into: .sendFile) }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      if isFallback {
        try await loop.turn()
      } else {
        try await loop.until { recorder.transport.fileTransfer?.waiter != nil }
      }
      recorder.transport.abort()
      #expect(try await ioError { try await sending.value }.code == .connectionAbort)
      try await loop.until { recorder.isLost }
      #expect(recorder.calls == [.made, .lost(nil)])
      peer.close()
    }
  }

  @Test("A reset during a transfer ends it with the connection's error")
  func reset() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(plenty))
      defer { try? file.close() }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      try await loop.until { recorder.transport.fileTransfer?.waiter != nil }
      peer.reset()
      #expect(try await ioError { try await sending.value }.code == .connectionReset)
      try await loop.until { recorder.isLost }
      #expect(recorder.ioLoss?.code == .connectionReset)
    }
  }

  @Test("A socket that is closed during a transfer is not written to any more, whoever has its number")
  func closedSocket() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(3 << 20))
      defer { try? file.close() }
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { far.close() }
      let sending = loop.createTask { try await loop.sockSendFile(near, file) }
      try await loop.until { loop.readiness.watchedCount == 1 }
      let calls = kernel.count(of: .sendFile)
      // Room comes in the same iteration in which the socket is closed, before the task goes on.
      loop.callSoon {
        _ = try far.receive(maxBytes: 1 << 20)
        loop.callSoon { near.close() }
      }
      let error = try await ioError { try await sending.value }
      #expect(error.code == .canceled && error.operation == "sockSendFile")
      #expect(kernel.count(of: .sendFile) == calls)
    }
  }
}
