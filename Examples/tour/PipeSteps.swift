// SPDX-License-Identifier: Apache-2.0
import AsyncIO

let pipeSteps = [
  Step("ten mebibytes through a pipe", pipeStream),
  Step("a pipe whose reader goes away", brokenPipe),
]

@Sendable func pipeStream(_ loop: EventLoop) async throws -> String {
  let (reading, writing) = try FileDescriptor.pipe()
  let reader = try await loop.openReadPipe(reading)
  let writer = try await loop.openWritePipe(writing)
  let chunk = [UInt8](repeating: 42, count: 64 * 1024)
  let sender = loop.createTask {
    for _ in 0..<160 { try await writer.send(chunk) }
    writer.close()
  }
  var count = 0
  for try await bytes in reader { count += bytes.count }
  try await sender.value
  try expect("bytes", count, is: 10 << 20)
  return "\((count / 1024).grouped) KiB, with back-pressure"
}

/// Waits for the end of a pipe that it never writes to.
final class ReaderWatch: WritePipeProtocol {
  let lost: Future<String>

  init(_ loop: EventLoop) { lost = Future(loop) }

  func connectionLost(_ error: (any Error)?) throws {
    try lost.setResult(error.map { "\($0)" } ?? "without an error, and without a write")
  }
}

@Sendable func brokenPipe(_ loop: EventLoop) async throws -> String {
  let (reading, writing) = try FileDescriptor.pipe()
  let (_, watch) = try await loop.connectWritePipe({ ReaderWatch(loop) }, writing)
  try reading.close()
  return "connectionLost \(try await watch.lost.value)"
}
