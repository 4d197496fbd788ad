// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Limits and counts of streams at their limits and beyond.
@Suite("Streams: limits and counts at their limits")
struct StreamLimitTests {
  @Test("a limit of nothing or less is an error, before anything is done", arguments: [0, -1, Int.min])
  func impossibleLimits(_ limit: Int) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let path = folder.path + "/s"
      let (reading, writing) = try kernel.makePipe()
      for call in [
        { _ = try StreamReader(loop, limit: limit) },
        { _ = try await loop.openConnection(host: "127.0.0.1", port: 1, limit: limit) },
        { _ = try await loop.startServer(host: "127.0.0.1", port: 0, limit: limit) { _, _ in } },
        { _ = try await loop.startUnixServer(path: path, limit: limit) { _, _ in } },
        { _ = try await loop.openReadPipe(reading, limit: limit) },
        { _ = try await loop.createSubprocessExec("/bin/true", stdout: .pipe, limit: limit) },
        { _ = try await loop.createSubprocessShell("true", on: .pty(), limit: limit) },
      ] as [() async throws -> Void] {
        let error = await thrown { try await call() }
        #expect(error as? EventLoopError == .invalidArgument)
      }
      #expect(kernel.count(of: .connect) + kernel.count(of: .bind) + kernel.count(of: .spawn) == 0)
      try kernel.close(reading)
      try kernel.close(writing)
    }
  }

  @Test("any limit above zero will do", arguments: [1, Int.max / 2, .max / 2 + 1, .max])
  func limits(_ limit: Int) throws {
    try runLoop { loop, kernel in
      let (near, far) = try Socket.pair()
      let (reader, writer) = try await loop.openConnection(socket: near, limit: limit)
      try far.send(Array("ab\ncd".utf8))
      far.close()
      let line = try? await reader.readLine()
      #expect(line == (limit == 1 ? nil : Array("ab\n".utf8)))
      #expect(try await reader.read() == Array("cd".utf8))
      writer.close()
    }
  }

  @Test("reading so many bytes", arguments: [Int.min, -1, 0, .max])
  func counts(_ count: Int) throws {
    try runLoop { loop, kernel in
      let reader = try StreamReader(loop)
      reader.feedData([1, 2, 3])
      reader.feedEOF()
      if count < 0 {
        await #expect(throws: EventLoopError(.invalidArgument, "")) { try await reader.readExactly(count) }
        #expect(try await reader.read(count) == [1, 2, 3], "everything")
      } else if count == 0 {
        #expect(try await reader.readExactly(0) == [])
        #expect(try await reader.read(0) == [])
        #expect(try await reader.read(count + 1) == [1])
      } else {
        let error = await thrown { try await reader.readExactly(count) } as? IncompleteReadError
        #expect(error?.partial == [1, 2, 3] && error?.expected == count)
        #expect(try await reader.read(count) == [])
      }
    }
  }

  @Test("a separator of nothing is an error")
  func separator() throws {
    try runLoop { loop, kernel in
      let reader = try StreamReader(loop)
      await #expect(throws: EventLoopError(.invalidArgument, "")) { try await reader.readUntil([]) }
    }
  }

  @Test("a writer's file: an offset or count that makes no sense is an error", arguments: [Int.min, -1, 0, .max])
  func files(_ number: Int) throws {
    try runLoop { loop, kernel in
      let folder = try TemporaryFolder()
      let file = try folder.file([1, 2, 3])
      defer { try? file.close() }
      let (reading, writing) = try kernel.makePipe()
      let (near, far) = try Socket.pair()
      let pipe = try await loop.openWritePipe(writing)
      let (_, socket) = try await loop.openConnection(socket: near)
      for writer in [pipe, socket] {
        if number <= 0 {
          await #expect(throws: EventLoopError(.invalidArgument, "")) { try await writer.sendFile(file, count: number) }
        } else {
          #expect(try await writer.sendFile(file, count: number) == 3)
        }
        if number < 0 {
          await #expect(throws: EventLoopError(.invalidArgument, "")) {
            try await writer.sendFile(file, offset: Int64(number))
          }
        }
        writer.close()
        try await writer.waitClosed()
      }
      try kernel.close(reading)
      far.close()
    }
  }

  @Test("water marks: any that are in order will do", arguments: [0, 1, Int.max / 4 + 1, .max])
  func waterMarks(_ number: Int) throws {
    try runLoop { loop, kernel in
      let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
      let endpoint = try await loop.openEndpoint()
      recorder.transport.setWriteBufferLimits(low: number)
      endpoint.transport.setWriteBufferLimits(low: number)
      for limits in [recorder.transport.writeBufferLimits, endpoint.transport.writeBufferLimits] {
        #expect(limits == (number, number > .max / 4 ? .max : 4 * number))
      }
      recorder.transport.setWriteBufferLimits(high: number)
      #expect(recorder.transport.writeBufferLimits == (number / 4, number))
      recorder.transport.setWriteBufferLimits(high: number, low: number)
      #expect(recorder.transport.writeBufferLimits == (number, number))
      recorder.transport.abort()
      try await loop.close(endpoint)
      try await loop.until { recorder.isLost }
    }
  }

  /// High and low.
  @Test(
    "water marks below zero, or the wrong way round, are a programmer error that says so",
    arguments: [(-1, nil), (Int.min, nil), (nil, -1), (nil, Int.min), (1, 2), (0, .max)] as [(Int?, Int?)])
  func impossibleWaterMarks(_ high: Int?, low: Int?) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [high = high as Int?, low = low as Int?] in
      try runLoop { loop, kernel in
        let (recorder, _) = try await PairKind.socketPair.transport(loop, kernel)
        recorder.transport.setWriteBufferLimits(high: high, low: low)
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("must not be negative, nor above high"))
  }
}
