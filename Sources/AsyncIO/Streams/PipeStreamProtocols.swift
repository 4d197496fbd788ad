// SPDX-License-Identifier: Apache-2.0

/// The protocol behind the reader of a pipe. A reader that nobody has any more is not fed: it closes the pipe.
final class ReadPipeFeeder: ReadPipeProtocol {
  private weak var reader: StreamReader?

  init(_ reader: StreamReader) { self.reader = reader }

  func connectionMade(_ transport: ReadPipeTransport) { reader?.setTransport(transport, owned: true) }

  func dataReceived(_ data: Span<UInt8>) { reader?.arrived(data) }

  func eofReceived() { reader?.feedEOF() }

  func connectionLost(_ error: (any Error)?) { reader?.connectionLost(error) }
}

/// The protocol behind the writer of a pipe.
final class WritePipeFlow: WritePipeProtocol {
  private let flow: StreamFlow

  init(_ flow: StreamFlow) { self.flow = flow }

  func pauseWriting() { flow.pauseWriting() }

  func resumeWriting() { flow.resumeWriting() }

  func connectionLost(_ error: (any Error)?) { flow.connectionLost(error) }
}
