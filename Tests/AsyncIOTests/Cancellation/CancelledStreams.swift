// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

extension CancellationTests {
  /// Reads what comes in two parts, the first of which is there.
  private static func reading(
    _ name: String, _ call: @escaping @Sendable (StreamReader) async throws -> [UInt8]
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let (reader, writer, peer) = try await loop.makeStreamPair(kernel)
      let received = Boxed<[UInt8]>([])
      return PreparedCall(
        call: { received.value = try await call(reader) },
        complete: {
          _ = try peer.send(octets("abc\n"))
          try kernel.real.shutdownWrite(peer.descriptor)
        },
        check: { end in
          if !end.isComplete {
            _ = try peer.send(octets("abc\n"))
            try kernel.real.shutdownWrite(peer.descriptor)
          }
          let rest = try await reader.read()
          #expect(received.value + rest == octets("abc\n"), "no byte is lost or read twice")
          #expect(received.value.isEmpty || end.returned)
          writer.transport.abort()
          peer.close()
        })
    }
  }

  /// Sends more than there is room for. All of it arrives.
  private static func writing(
    _ name: String, waits: Bool = true, _ call: @escaping @Sendable (StreamWriter) async throws -> Void
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      let bytes = pattern(plenty)
      let received = Boxed<[UInt8]>([])
      writer.write(bytes)
      return PreparedCall(
        call: { try await call(writer) },
        complete: { received.value += try await peer.receive(plenty, loop) }, waits: waits,
        check: { end in
          writer.close()
          received.value += try await peer.receiveToEnd(loop)
          #expect(received.value.prefix(plenty) == bytes[...])
          #expect(received.value.dropFirst(plenty).allSatisfy { $0 == 9 })
          peer.close()
        })
    }
  }

  /// Takes one end of a pipe, or leaves it its owner's.
  private static func piping(
    _ name: String, writes: Bool = false,
    _ call: @escaping @Sendable (EventLoop, FileDescriptor) async throws -> (() -> Void)
  ) -> AwaitedCall {
    AwaitedCall(name) { loop, _ in
      let (reading, writing) = try FileDescriptor.privatePipe()
      let close = Boxed({})
      return PreparedCall(
        call: { close.value = try await call(loop, writes ? writing : reading) }, waits: false,
        check: { end in
          if end.returned { close.value() } else { try (writes ? writing : reading).close() }
          close.value = {}
          try (writes ? reading : writing).close()
        })
    }
  }

  static let streamCalls: [AwaitedCall] = [
    reading("StreamReader.read") { try await $0.read() },
    reading("StreamReader.read (so many)") { try await $0.read(100) },
    reading("StreamReader.readExactly") { try await $0.readExactly(4) },
    reading("StreamReader.readUntil") { try await $0.readUntil([UInt8(ascii: "c")]) },
    reading("StreamReader.readLine") { try await $0.readLine() },
    reading("StreamReader.withBytes") { reader in
      var bytes: [UInt8] = []
      try await reader.withBytes(atLeast: 4) { lent in
        bytes = [UInt8](copying: lent)
        return lent.count
      }
      return bytes
    },
    reading("StreamReader.next") { reader in
      for try await chunk in reader { return chunk }
      return []
    },
    reading("StreamReader.next (lines)") { reader in
      for try await line in reader.lines { return octets(line + "\n") }
      return []
    },
    writing("StreamWriter.drain") { try await $0.drain() },
    writing("StreamWriter.send") { try await $0.send([9, 9, 9]) },
    writing("StreamWriter.waitClosed") { writer in
      writer.close()
      try await writer.waitClosed()
    },
    AwaitedCall("StreamWriter.sendFile") { loop, kernel in
      let (_, writer, peer) = try await loop.makeStreamPair(kernel)
      let file = try TemporaryFolder().file(pattern(plenty))
      let received = Boxed<[UInt8]>([])
      return PreparedCall(
        call: { _ = try await writer.sendFile(file) },
        complete: { received.value += try await peer.receive(plenty, loop) },
        check: { _ in
          let sent = Int(try file.seek(offset: 0, from: .current))
          writer.close()
          received.value += try await peer.receiveToEnd(loop)
          #expect(received.value == Array(pattern(plenty).prefix(sent)), "the file's position tells how much was sent")
          try file.close()
          peer.close()
        })
    },
    piping("EventLoop.openReadPipe") { loop, descriptor in
      let reader = try await loop.openReadPipe(descriptor)
      return { _ = reader }
    },
    piping("EventLoop.openWritePipe", writes: true) { loop, descriptor in
      let writer = try await loop.openWritePipe(descriptor)
      return { writer.close() }
    },
    piping("EventLoop.connectReadPipe") { loop, descriptor in
      let (transport, _) = try await loop.connectReadPipe({ ReadRecorder() }, descriptor)
      return { transport.close() }
    },
    piping("EventLoop.connectWritePipe", writes: true) { loop, descriptor in
      let (transport, _) = try await loop.connectWritePipe({ WriteRecorder() }, descriptor)
      return { transport.close() }
    },
  ]
}
