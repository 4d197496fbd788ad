// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// Python's asyncio as the client of our servers.
@Suite struct PythonClientTests {
  enum Style: CaseIterable, Sendable {
    case callbacks, streams
  }

  /// Sends everything back, and notes how its connection ended.
  private final class Echo: StreamProtocol {
    let ended: Future<(any Error)?>
    private var transport: StreamTransport?

    init(_ ended: Future<(any Error)?>) { self.ended = ended }

    func connectionMade(_ transport: StreamTransport) { self.transport = transport }
    func dataReceived(_ data: Span<UInt8>) { transport?.write(data) }
    func pauseWriting() { transport?.pauseReading() }
    func resumeWriting() { transport?.resumeReading() }
    func connectionLost(_ error: (any Error)?) throws { try ended.setResult(error) }
  }

  /// Runs a script of the Python client against an echo server.
  ///
  /// - Returns: what it printed, and how the connection ended.
  private func run(_ script: String, _ style: Style) throws -> (answer: String, end: (any Error)?) {
    try runLoop { loop, _ in
      let errors = loop.collectErrors()
      let ended = Future<(any Error)?>(loop)
      let server =
        switch style {
        case .callbacks:
          try await loop.createServer({ Echo(ended) }, host: "127.0.0.1", port: 0)
        case .streams:
          try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
            do {
              for try await chunk in reader { try await writer.send(chunk) }
              try ended.setResult(nil)
            } catch let error as IOError {
              try ended.setResult(error)
            }
          }
        }
      let python = try PythonPeer(loop, "client", String(server.port), script)
      let answer = try await python.line()
      try await python.finish()
      let end = try await ended.value
      server.close()
      try await server.waitClosed()
      #expect(errors.messages == [])
      return (answer, end)
    }
  }

  @Test(
    "8 MiB there and back are the same bytes; the client ends its side while ours still sends",
    arguments: Style.allCases)
  func megabytes(style: Style) throws {
    let (answer, end) = try run("echo_8_megabytes", style)
    #expect(answer == "8388608 same")
    #expect(end == nil)
  }

  @Test("ten thousand lines there and back", arguments: Style.allCases)
  func lines(style: Style) throws {
    let (answer, end) = try run("echo_lines", style)
    #expect(answer == "10000 lines")
    #expect(end == nil)
  }

  @Test("small messages back and forth", arguments: Style.allCases)
  func pingPong(style: Style) throws {
    let (answer, end) = try run("ping_pong", style)
    #expect(answer == "500 answers")
    #expect(end == nil)
  }

  @Test("a client that resets the connection is an error of the connection", arguments: Style.allCases)
  func reset(style: Style) throws {
    let (answer, end) = try run("reset", style)
    #expect(answer == "gone")
    #expect((end as? IOError)?.code == .connectionReset)
  }

  @Test("a stream server answers a client that has ended its side")
  func halfClose() throws {
    try runLoop { loop, _ in
      let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
        let question = try await reader.read()
        #expect(reader.atEOF)
        try await writer.send("\(question.count) bytes")
      }
      let python = try PythonPeer(loop, "client", String(server.port), "half_close")
      #expect(try await python.line() == "17 bytes")
      try await python.finish()
      server.close()
      try await server.waitClosed()
    }
  }

  /// Answers once the peer has ended its side.
  private final class HalfCloseProtocol: StreamProtocol {
    private var transport: StreamTransport?
    private var count = 0

    func connectionMade(_ transport: StreamTransport) { self.transport = transport }
    func dataReceived(_ data: Span<UInt8>) { count += data.count }

    func eofReceived() -> Bool {
      transport?.write("\(count) bytes")
      transport?.close()
      return true
    }
  }

  @Test("a protocol answers a client that has ended its side")
  func halfCloseWithCallbacks() throws {
    try runLoop { loop, _ in
      let server = try await loop.createServer(HalfCloseProtocol.init, host: "127.0.0.1", port: 0)
      let python = try PythonPeer(loop, "client", String(server.port), "half_close")
      #expect(try await python.line() == "17 bytes")
      try await python.finish()
      server.close()
      try await server.waitClosed()
    }
  }
}
