// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage
import Testing

@testable import AsyncIO

@Suite struct FileTransferTests {
  @Test("the whole file arrives, the count is told, and the position is left behind the last byte")
  func wholeFile() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(100_000))
      defer { try? file.close() }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      #expect(try await peer.receive(100_000, on: loop) == pattern(100_000))
      #expect(try await sending.value == 100_000)
      #expect(try file.seek(offset: 0, from: .current) == 100_000)
      try await end(recorder, peer, loop)
    }
  }

  @Test(
    "offset and count are honoured, also beyond the end of the file",
    arguments: [
      (0, 10, 0..<10), (990, nil, 990..<1000), (5, 20, 5..<25), (900, 500, 900..<1000), (1000, 5, 1000..<1000),
    ]
      as [(Int64, Int?, Range<Int>)])
  func parts(offset: Int64, count: Int?, expected: Range<Int>) throws {
    try runLoop { loop, kernel in
      let bytes = pattern(1000)
      let file = try TemporaryFolder().file(bytes)
      defer { try? file.close() }
      try file.seek(offset: 3, from: .start)
      let (recorder, peer) = try await PairKind.socketPair.transport(loop, kernel)
      #expect(try await loop.sendFile(recorder.transport, file, offset: offset, count: count) == expected.count)
      recorder.transport.writeEOF()
      #expect(try await peer.receiveToEnd(on: loop) == Array(bytes[expected]))
      let position = try file.seek(offset: 0, from: .current)
      #expect(position == (expected.isEmpty ? 3 : Int64(expected.upperBound)))
      try await end(recorder, peer, loop)
    }
  }

  @Test("earlier writes go before, later ones after, also when the earlier ones have to wait")
  func order() throws {
    try runLoop { loop, kernel in
      let (before, middle, after) = (pattern(plenty), [UInt8](repeating: 1, count: 50_000), Array("after".utf8))
      let file = try TemporaryFolder().file(middle)
      defer { try? file.close() }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      recorder.transport.write(before)
      #expect(recorder.transport.writeBufferSize > 0)
      let sending = loop.createTask {
        let count = try await loop.sendFile(recorder.transport, file)
        #expect(count == middle.count)
        recorder.transport.write(after)
        recorder.transport.writeEOF()
      }
      let received = try await peer.receiveToEnd(on: loop)
      try await sending.value
      #expect(received == before + middle + after)
      try await end(recorder, peer, loop)
    }
  }

  @Test("8 MiB arrive whole at a slow reader, and nothing is buffered meanwhile", arguments: [nil, Errno.noFunction])
  func slowReader(failure: Errno?) throws {
    try runLoop { loop, kernel in
      let bytes = pattern(8 << 20)
      let file = try TemporaryFolder().file(bytes)
      defer { try? file.close() }
      if let failure { kernel.inject(failure, into: .sendFile, times: 1) }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      var most = 0
      let sending = loop.createTask { try await loop.sendFile(recorder.transport, file) }
      var received: [UInt8] = []
      received.reserveCapacity(bytes.count)
      var waits = 0
      while received.count < bytes.count {
        let next = try await peer.receive(min(512 * 1024, bytes.count - received.count), on: loop)
        received += next
        most = max(most, recorder.transport.writeBufferSize)
        waits += 1
        // The sender is stuck by now: the kernel's buffers hold less than that.
        try await loop.turn(1)
      }
      #expect(try await sending.value == bytes.count)
      #expect(received == bytes)
      #expect(most == 0 && waits >= 16)
      #expect(recorder.calls == [.made], "its flow control is not the protocol's")
      try await end(recorder, peer, loop)
    }
  }

  @Test("A file goes out in shares, so that a fast peer leaves the loop to others")
  func fairness() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file([])
      defer { try? file.close() }
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      kernel.swallowFiles()
      var turns = 0
      var isOver = false
      func count() {
        turns += 1
        if !isOver { loop.callSoon(count) }
      }
      loop.callSoon(count)
      #expect(try await loop.sockSendFile(near, file, count: 10 << 20) == 10 << 20)
      isOver = true
      #expect(turns >= 9)
      #expect(kernel.count(of: .sendFile) == 10)
    }
  }

  @Test("Short sends add up")
  func shortSends() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file(pattern(10_000))
      defer { try? file.close() }
      kernel.limit(.sendFile, toBytes: 333)
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      #expect(try await loop.sendFile(recorder.transport, file, offset: 1) == 9_999)
      #expect(kernel.count(of: .sendFile) == 32)
      #expect(try await peer.receive(9_999, on: loop) == Array(pattern(10_000).dropFirst()))
      try await end(recorder, peer, loop)
    }
  }

  @Test("a transport that closes, or whose write side was ended, is refused")
  func closing() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file([1])
      defer { try? file.close() }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      recorder.transport.writeEOF()
      #expect(await thrown { try await loop.sendFile(recorder.transport, file) } as? EventLoopError == .badTransport)
      recorder.transport.close()
      #expect(await thrown { try await loop.sendFile(recorder.transport, file) } as? EventLoopError == .badTransport)
      #expect(kernel.count(of: .sendFile) == 0)
      try await loop.until { recorder.isLost }
      peer.close()
    }
  }

  @Test("a datagram socket is refused, and so are a negative offset and a count of zero or less")
  func arguments() throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file([1, 2, 3])
      defer { try? file.close() }
      let (near, far) = try kernel.makeSocketPair(.datagram)
      let datagrams = [near, far].map { Socket(adopting: $0, kernel: kernel) }
      defer { for socket in datagrams { socket.close() } }
      let refused = await thrown { try await loop.sockSendFile(datagrams[0], file) }
      #expect(refused as? EventLoopError == .badArgument)

      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      let (socket, other) = try await PairKind.socketPair.make(loop, kernel)
      defer { for socket in [socket, other] { socket.close() } }
      for (offset, count) in [(-1, nil), (0, 0), (0, -1)] as [(Int64, Int?)] {
        let overTransport = await thrown {
          try await loop.sendFile(recorder.transport, file, offset: offset, count: count)
        }
        #expect(overTransport as? EventLoopError == .badArgument)
        let overSocket = await thrown { try await loop.sockSendFile(socket, file, offset: offset, count: count) }
        #expect(overSocket as? EventLoopError == .badArgument)
      }
      #expect(kernel.count(of: .sendFile) == 0)
      recorder.transport.write("free again")
      #expect(try await peer.receive(10, on: loop) == Array("free again".utf8))
      try await end(recorder, peer, loop)
    }
  }

  @Test("an empty file is zero bytes", arguments: [true, false])
  func emptyFile(isNative: Bool) throws {
    try runLoop { loop, kernel in
      let file = try TemporaryFolder().file([])
      defer { try? file.close() }
      if !isNative { kernel.inject(.invalidArgument, into: .sendFile, times: 2) }
      let (recorder, peer) = try await PairKind.tcp.transport(loop, kernel)
      #expect(try await loop.sendFile(recorder.transport, file) == 0)
      let (near, far) = try await PairKind.socketPair.make(loop, kernel)
      let count = try await loop.sockSendFile(near, file)
      #expect(count == 0)
      for socket in [near, far] { socket.close() }
      try await end(recorder, peer, loop)
    }
  }

  @Test(
    "sockSendFile sends over a socket, waits for room, and leaves it the caller's", arguments: PairKind.allCases)
  func overSocket(_ kind: PairKind) throws {
    try runLoop { loop, kernel in
      let bytes = pattern(plenty)
      let file = try TemporaryFolder().file(bytes)
      defer { try? file.close() }
      let (near, far) = try await kind.make(loop, kernel)
      defer { for socket in [near, far] { socket.close() } }
      try near.setOption(.sendBufferSize, 32 * 1024)
      let sending = loop.createTask { try await loop.sockSendFile(near, file, offset: 7) }
      var received: [UInt8] = []
      while received.count < bytes.count - 7 { received += try await loop.sockRecv(far, 100_000) }
      #expect(try await sending.value == bytes.count - 7)
      #expect(received == Array(bytes.dropFirst(7)))
      #expect(try file.seek(offset: 0, from: .current) == Int64(bytes.count))
      #expect(loop.readiness.watcher(of: near.descriptor) == nil)
    }
  }

  @Test("Two files at once: refused on one transport, fine on two")
  func twoAtOnce() throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let files = try [folder.file(pattern(plenty)), folder.file([UInt8](repeating: 7, count: plenty))]
      defer { for file in files { try? file.close() } }
      let first = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let second = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
      let sending = [
        loop.createTask { try await loop.sendFile(first.0.transport, files[0]) },
        loop.createTask { try await loop.sendFile(second.0.transport, files[1]) },
      ]
      try await loop.turn()
      #expect(await thrown { try await loop.sendFile(first.0.transport, files[1]) } as? EventLoopError == .badTransport)
      #expect(try await second.1.receive(plenty, on: loop) == [UInt8](repeating: 7, count: plenty))
      #expect(try await first.1.receive(plenty, on: loop) == pattern(plenty))
      for task in sending { #expect(try await task.value == plenty) }
      try await end(first.0, first.1, loop)
      try await end(second.0, second.1, loop)
    }
  }

  @Test("writing while a file is being sent is an error of the program")
  func writeTraps() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try runLoop { loop, kernel in
        let file = try TemporaryFolder().file(pattern(plenty))
        let (recorder, _) = try await PairKind.tcp.transport(loop, kernel, smallBuffers: true)
        loop.createTask { try await loop.sendFile(recorder.transport, file) }
        try await loop.turn()
        recorder.transport.write("in between")
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("StreamTransport.write: called while a file is being sent"))
  }

  @Test("a peer that goes away never ends the process by SIGPIPE")
  func brokenPipe() async {
    await #expect(processExitsWith: .success) {
      signal(SIGPIPE, SIG_DFL)
      try runLoop { loop, kernel in
        let file = try TemporaryFolder().file(pattern(1000))
        let (near, far) = try await PairKind.socketPair.make(loop, kernel)
        far.close()
        let error = try await ioError { try await loop.sockSendFile(near, file) }
        if error.code != .brokenPipe { exit(2) }
        near.close()
      }
    }
  }
}

/// Closes both ends, and waits until the protocol has heard of it.
func end(_ recorder: Recorder, _ peer: Peer, _ loop: EventLoop) async throws {
  recorder.transport.abort()
  try await loop.until { recorder.isLost }
  peer.close()
}
