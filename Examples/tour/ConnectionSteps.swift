// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let connectionSteps =
  [
    Step("echo by callbacks", echoByCallbacks),
    Step("echo by streams", echoByStreams),
    Step("8 MiB to a slow reader", slowReader),
    Step("half close", halfClose),
    Step("echo over a unix socket", echoOverUnixSocket),
    Step("a pair of plain sockets", plainSockets),
  ] + lookUpAndFileSteps

/// Sends back what arrives.
final class EchoProtocol: StreamProtocol {
  private var transport: StreamTransport?

  func connectionMade(_ transport: StreamTransport) { self.transport = transport }
  func dataReceived(_ data: Span<UInt8>) { transport?.write(data) }
  func connectionLost(_ error: (any Error)?) { transport = nil }
}

/// Sends a text, and collects what comes until the connection ends.
final class CollectingProtocol: StreamProtocol {
  private let text: String
  private var received: [UInt8] = []
  let end: Future<String>

  init(_ loop: EventLoop, sending text: String) {
    self.text = text
    end = Future(loop)
  }

  func connectionMade(_ transport: StreamTransport) {
    transport.write(text)
    transport.writeEOF()
  }

  func dataReceived(_ data: Span<UInt8>) {
    for index in data.indices { received.append(data[index]) }
  }

  func connectionLost(_ error: (any Error)?) throws {
    if let error { try end.setError(error) } else { try end.setResult(String(decoding: received, as: UTF8.self)) }
  }
}

@Sendable func echoByCallbacks(_ loop: EventLoop) async throws -> String {
  let server = try await loop.createServer(EchoProtocol.init, host: "127.0.0.1", port: 0)
  defer { server.close() }
  let text = "hello, callbacks"
  let (_, client) = try await loop.createConnection(
    { CollectingProtocol(loop, sending: text) }, host: "127.0.0.1", port: server.port)
  try expect("what came back", try await client.end.value, is: text)
  return "\"\(text)\" there and back over 127.0.0.1:\(server.port)"
}

/// Sends back what arrives, the async way.
func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
  for try await chunk in reader { try await writer.send(chunk) }
}

@Sendable func echoByStreams(_ loop: EventLoop) async throws -> String {
  let server = try await loop.startServer(host: "127.0.0.1", port: 0, echo)
  defer { server.close() }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
  for number in 1...3 {
    try await writer.send("line \(number)\n")
    let line = String(decoding: try await reader.readLine(), as: UTF8.self)
    try expect("what came back", line, is: "line \(number)\n")
  }
  writer.close()
  try await writer.waitClosed()
  return "three lines there and back over 127.0.0.1:\(server.port)"
}

@Sendable func slowReader(_ loop: EventLoop) async throws -> String {
  let line = String(repeating: "x", count: 1023)
  let count = 8 * 1024
  var mostBuffered = 0
  var waits = 0
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { _, writer in
    try writer.getExtraInfo(.socket)?.setOption(.sendBufferSize, 64 * 1024)
    for _ in 0..<count {
      writer.write(line + "\n")
      let buffered = writer.transport.writeBufferSize
      mostBuffered = max(mostBuffered, buffered)
      if buffered > writer.transport.writeBufferLimits.high { waits += 1 }
      try await writer.drain()
    }
  }
  defer { server.close() }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
  defer { writer.close() }
  // The kernel would else take megabytes off the writer's hands.
  try writer.getExtraInfo(.socket)?.setOption(.receiveBufferSize, 64 * 1024)
  var lines = 0
  for try await received in reader.lines {
    try expect(received == line, "line \(lines + 1) is not what was sent")
    lines += 1
    if lines % 256 == 0 { try await loop.sleep(for: .milliseconds(2)) }
  }
  try expect("lines", lines, is: count)
  try expect(waits > 0, "the writer never had to wait for the reader")
  try expect(mostBuffered <= 64 * 1024 + 1024, "\(mostBuffered) bytes were buffered")
  return "\(lines.grouped) lines; the writer waited \(waits) times, holding \(mostBuffered / 1024) KiB at most"
}

@Sendable func halfClose(_ loop: EventLoop) async throws -> String {
  let server = try await loop.startServer(host: "127.0.0.1", port: 0) { reader, writer in
    let question = try await reader.read()
    try await writer.send("\(question.count) bytes, I am told")
  }
  defer { server.close() }
  let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
  defer { writer.close() }
  writer.write("is anybody there?")
  writer.writeEOF()
  let answer = String(decoding: try await reader.read(), as: UTF8.self)
  try expect("the answer", answer, is: "17 bytes, I am told")
  return "the answer came after our end: \"\(answer)\""
}

@Sendable func echoOverUnixSocket(_ loop: EventLoop) async throws -> String {
  // A name without a file, which no other process has.
  let name = "asyncio-tour-\(UInt64.random(in: .min ... .max))"
  let server = try await loop.startUnixServer(path: "\0" + name, echo)
  defer { server.close() }
  let (reader, writer) = try await loop.openUnixConnection(path: "\0" + name)
  defer { writer.close() }
  try await writer.send("hello, neighbour\n")
  let line = String(decoding: try await reader.readLine(), as: UTF8.self)
  try expect("what came back", line, is: "hello, neighbour\n")
  return "a line there and back over @\(name)"
}

@Sendable func plainSockets(_ loop: EventLoop) async throws -> String {
  let (ours, theirs) = try Socket.pair()
  let size = 1 << 20
  let sending = loop.createTask { try await loop.sockSendAll(ours, [UInt8](repeating: 7, count: size)) }
  var received = 0
  while received < size { received += try await loop.sockRecv(theirs, 64 * 1024).count }
  try await sending.value
  try expect("bytes", received, is: size)
  return "sockSendAll and sockRecv: 1 MiB, both ends in this loop"
}
