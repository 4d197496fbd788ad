// SPDX-License-Identifier: Apache-2.0

/// The reading end of a pipe, or of what is read like one. asyncio's `ReadTransport` of `connect_read_pipe`.
///
/// It is made by `connectReadPipe`, which hands it to the protocol in `connectionMade`. It belongs to its loop's thread.
public final class ReadPipeTransport: ProtocolTransport<any ReadPipeProtocol>, ReadTransport, PipeTransport {
  override class var titles: (noun: String, title: String) { ("read pipe", "reading") }
  override func tellMade(_ receiver: any ReadPipeProtocol) throws { try receiver.connectionMade(self) }
  override func read() { receive() }

  override func tellEOF() throws -> Bool {
    try receiver?.eofReceived()
    return false
  }
}

extension ReadPipeTransport: ByteReceiving {
  var bufferedReceiver: (any BufferedProtocol)? { nil }

  func deliver(_ bytes: Span<UInt8>) throws { try receiver?.dataReceived(bytes) }

  func receivingFailed(_ error: IOError) {
    report("read error on a pipe", error)
    end(error)
  }
}
