// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Python's asyncio as the server of our clients.
@Suite struct PythonServerTests {
  /// Collects what arrives.
  private final class Collector: StreamProtocol {
    var received: [UInt8] = []
    var resumed: (() -> Void)?
    let ended: Future<(any Error)?>

    init(_ loop: EventLoop) { ended = Future(loop) }

    func dataReceived(_ data: Span<UInt8>) {
      for index in data.indices { received.append(data[index]) }
    }

    func resumeWriting() { resumed?() }
    func connectionLost(_ error: (any Error)?) throws { try ended.setResult(error) }
  }

  /// Runs a Python server for as long as the body takes.
  private func withServer(_ body: @escaping (EventLoop, PythonPeer, Int) async throws -> Void) throws {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      let python = try PythonPeer(loop, "server")
      try await body(loop, python, try await python.number())
      try await python.finish()
      #expect(errors.messages == [])
    }
  }

  @Test("8 MiB there and back by streams are the same bytes")
  func streamsEcho() throws {
    try withServer { loop, _, port in
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      let data = PythonPeer.pattern(8 << 20)
      let sending = loop.createTask {
        writer.write("echo\n")
        for start in stride(from: 0, to: data.count, by: 100_000) {
          try await writer.send(Array(data[start..<min(start + 100_000, data.count)]))
        }
        writer.writeEOF()
      }
      #expect(try await reader.read() == data)
      try await sending.value
      writer.close()
      try await writer.waitClosed()
    }
  }

  @Test("8 MiB to the server by one write, checked there after our end of file")
  func callbacksUpload() throws {
    try withServer { loop, _, port in
      let (transport, collector) = try await loop.createConnection(
        { Collector(loop) }, host: "127.0.0.1", port: port)
      transport.write("check\n")
      transport.write(PythonPeer.pattern(8 << 20))
      transport.writeEOF()
      #expect(try await collector.ended.value == nil)
      #expect(String(decoding: collector.received, as: UTF8.self) == "8388608 same\n")
    }
  }

  @Test("8 MiB from the server to callbacks, with pauses")
  func callbacksDownload() throws {
    try withServer { loop, _, port in
      let count = 8 << 20
      let (transport, collector) = try await loop.createConnection(
        { Collector(loop) }, host: "127.0.0.1", port: port)
      transport.write("flood \(count)\n")
      while collector.received.count < count {
        transport.pauseReading()
        let before = collector.received.count
        try await loop.settle()
        #expect(collector.received.count == before)
        transport.resumeReading()
        try await loop.until { collector.received.count > before }
      }
      #expect(try await collector.ended.value == nil)
      #expect(collector.received == PythonPeer.pattern(count))
    }
  }

  @Test("a slow reader gets all of what the server sends, and its end")
  func slowReader() throws {
    try withServer { loop, _, port in
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port, limit: 1000)
      writer.write("flood 300000\n")
      var received: [UInt8] = []
      while !reader.atEOF {
        received += try await reader.read(777)
        try await loop.sleep(for: .zero)
      }
      #expect(received == PythonPeer.pattern(300_000))
      writer.close()
    }
  }

  @Test("many lines from the server")
  func lines() throws {
    try withServer { loop, _, port in
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      writer.write("lines 20000\n")
      var number = 0
      for try await line in reader.lines {
        if line != "line \(number)" { break }
        number += 1
      }
      #expect(number == 20_000)
      writer.close()
    }
  }

  @Test("half close: the server answers after our end of file")
  func halfClose() throws {
    try withServer { loop, _, port in
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      writer.write("check\n")
      writer.write(PythonPeer.pattern(1000))
      writer.writeEOF()
      #expect(try await reader.readLine() == octets("1000 same\n"))
      #expect(try await reader.read() == [])
      writer.close()
      try await writer.waitClosed()
    }
  }

  @Test("a server that resets the connection is an error, for callbacks and streams")
  func reset() throws {
    try withServer { loop, _, port in
      let (transport, collector) = try await loop.createConnection(
        { Collector(loop) }, host: "127.0.0.1", port: port)
      transport.write("reset\n")
      #expect((try await collector.ended.value as? IOError)?.code == .connectionReset)

      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: port)
      writer.write("reset\n")
      let error = await #expect(throws: IOError.self) { try await reader.read() }
      #expect(error?.code == .connectionReset)
      await #expect(throws: IOError.self) { try await writer.waitClosed() }
    }
  }

  @Test("our abort with data unread is a reset for the server, our close is an end of file")
  func ourEnd() throws {
    try withServer { loop, python, port in
      let (reader, closing) = try await loop.openConnection(host: "127.0.0.1", port: port)
      closing.write("await-end\n")
      #expect(try await python.line() == "ready")
      #expect(try await reader.readExactly(6) == octets("unread"))
      closing.close()
      #expect(try await python.line() == "end")
      try await closing.waitClosed()

      let (abortingReader, aborting) = try await loop.openConnection(host: "127.0.0.1", port: port)
      abortingReader.transport?.pauseReading()
      aborting.write("await-end\n")
      #expect(try await python.line() == "ready")
      aborting.transport.abort()
      #expect(try await python.line() == "reset")
      try await aborting.waitClosed()
    }
  }
}
