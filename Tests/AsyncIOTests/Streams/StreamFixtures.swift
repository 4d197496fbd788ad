// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import Testing

@testable import AsyncIO

/// A text's bytes.
func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

extension EventLoop {
  /// A reader and a writer on one end of a socket pair, and the bare socket of the other end.
  func makeStreamPair(
    _ kernel: TestKernel, limit: Int = StreamReader.defaultLimit
  ) async throws -> (reader: StreamReader, writer: StreamWriter, peer: Socket) {
    let (ours, theirs) = try kernel.makeSocketPair(.stream)
    let (reader, writer) = try await openConnection(socket: Socket(adopting: ours, kernel: kernel), limit: limit)
    return (reader, writer, Socket(adopting: theirs, kernel: kernel))
  }

  /// A client's stream and the server's, over TCP. The server is closed already.
  func makeTCPStreams() async throws -> (
    client: (reader: StreamReader, writer: StreamWriter), server: (reader: StreamReader, writer: StreamWriter)
  ) {
    let accepted = Future<(reader: StreamReader, writer: StreamWriter)>(self)
    let server = try await startServer(host: "127.0.0.1", port: 0) { try accepted.setResult(($0, $1)) }
    let client = try await openConnection(host: "127.0.0.1", port: server.port)
    let served = try await accepted.value
    server.close()
    return (client, served)
  }

  /// Lets everything that is ready run, so that a task that was just made has come to where it must wait.
  func settle() async throws {
    for _ in 0..<3 { try await sleep(for: .zero) }
  }

  /// Starts a task and lets it come to where it must wait.
  func startWaiting<Success: Sendable>(
    _ body: @escaping () async throws -> Success
  ) async throws -> LoopTask<Success> {
    let task = createTask(body)
    try await settle()
    return task
  }
}

extension Socket {
  /// Sends until the kernel takes no more.
  ///
  /// - Returns: how many bytes it took.
  func fill() throws -> Int {
    let block = [UInt8](repeating: 0x2a, count: 64 * 1024)
    var sent = 0
    while true {
      do throws(IOError) {
        sent += try send(block)
      } catch {
        if error.code == .wouldBlock { return sent }
        throw error
      }
    }
  }

  /// Reads what is there now; nil at the end of the stream.
  func receiveNow() throws -> [UInt8]? {
    do throws(IOError) {
      let bytes = try receive(maxBytes: 1 << 20)
      return bytes.isEmpty ? nil : bytes
    } catch {
      if error.code == .wouldBlock { return [] }
      throw error
    }
  }

  /// Reads until so many bytes have come, letting the loop turn.
  func receive(_ count: Int, _ loop: EventLoop) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    try await loop.until("\(count) bytes did not come") {
      guard let more = try receiveNow() else { throw TestError(number: bytes.count) }
      bytes += more
      return bytes.count >= count
    }
    return bytes
  }

  /// Reads up to the end of the stream, letting the loop turn.
  func receiveToEnd(_ loop: EventLoop) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    try await loop.until("the stream did not end") {
      guard let more = try receiveNow() else { return true }
      bytes += more
      return false
    }
    return bytes
  }
}
