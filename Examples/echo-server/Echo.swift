// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Sends each piece back from the callback that delivers it.
final class EchoProtocol: StreamProtocol {
  private var transport: StreamTransport?

  func connectionMade(_ transport: StreamTransport) { self.transport = transport }
  func dataReceived(_ data: Span<UInt8>) { transport?.write(data) }
  func connectionLost(_ error: (any Error)?) { transport = nil }

  // A peer that sends without reading is not read from until it reads.
  func pauseWriting() { transport?.pauseReading() }
  func resumeWriting() { transport?.resumeReading() }
}

/// Sends each datagram back to where it came from.
final class DatagramEchoProtocol: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) { transport?.sendTo(data, sender) }
}

/// Sends each piece back from a loop that reads and writes.
func echo(_ reader: StreamReader, _ writer: StreamWriter) async throws {
  for try await chunk in reader { try await writer.send(chunk) }
}
