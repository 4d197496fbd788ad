// SPDX-License-Identifier: Apache-2.0

/// The protocol behind the reader and the writer of a connection: feeds the one, holds back the other.
final class StreamConnection: StreamProtocol {
  let reader: StreamReader
  let flow: StreamFlow
  /// Starts the handler of a server's connection; nil for a client's.
  private var onConnect: ((StreamReader, StreamWriter) -> Void)?

  init(_ loop: EventLoop, limit: Int, onConnect: ((StreamReader, StreamWriter) -> Void)? = nil) throws(EventLoopError) {
    self.onConnect = onConnect
    reader = try StreamReader(loop, limit: limit)
    flow = StreamFlow(loop, reader: reader)
  }

  func connectionMade(_ transport: StreamTransport) {
    reader.setTransport(transport)
    let handler = onConnect
    onConnect = nil
    handler?(reader, StreamWriter(transport, flow))
  }

  func dataReceived(_ data: Span<UInt8>) { reader.arrived(data) }

  func eofReceived() -> Bool {
    reader.feedEOF()
    // The program may still have an answer to send.
    return true
  }

  func pauseWriting() { flow.pauseWriting() }

  func resumeWriting() { flow.resumeWriting() }

  func connectionLost(_ error: (any Error)?) {
    reader.connectionLost(error)
    flow.connectionLost(error)
  }
}
