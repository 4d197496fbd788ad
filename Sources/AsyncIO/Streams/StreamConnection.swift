// SPDX-License-Identifier: Apache-2.0

/// The protocol behind the reader and the writer of a connection: feeds the one, holds back the other.
final class StreamConnection: StreamFlow, StreamProtocol {
  let reader: StreamReader
  /// Starts the handler of a server's connection; nil for a client's.
  private var onConnect: ((StreamReader, StreamWriter) -> Void)?

  init(_ loop: EventLoop, limit: Int, onConnect: ((StreamReader, StreamWriter) -> Void)? = nil) throws(EventLoopError) {
    self.onConnect = onConnect
    reader = try StreamReader(loop, limit: limit)
    super.init(loop)
  }

  override var readFailure: (any Error)? { reader.failure }

  override func cutReaderOff(_ error: DroppedWriterError) { reader.writerWasDropped(error) }

  func connectionMade(_ transport: StreamTransport) {
    reader.setTransport(transport)
    let handler = onConnect
    onConnect = nil
    handler?(reader, StreamWriter(transport, self))
  }

  func dataReceived(_ data: Span<UInt8>) { reader.arrived(data) }

  func eofReceived() -> Bool {
    reader.feedEOF()
    // The program may still have an answer to send.
    return true
  }

  override func connectionLost(_ error: (any Error)?) {
    reader.connectionLost(error)
    super.connectionLost(error)
  }
}
