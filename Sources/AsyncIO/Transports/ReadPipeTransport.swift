// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The reading end of a pipe, or of what is read like one. asyncio's `ReadTransport` of `connect_read_pipe`.
///
/// It is made by `connectReadPipe`, which hands it to the protocol in `connectionMade`. It belongs to its loop's thread.
public final class ReadPipeTransport: ProtocolTransport<any ReadPipeProtocol>, ReadTransport, PipeTransport {
  override class var titles: (noun: String, title: String) { ("read pipe", "reading") }
  override func tellMade(_ receiver: any ReadPipeProtocol) throws { try receiver.connectionMade(self) }
  override func serve(_ ready: Interest) {
    if ready.contains(.read), state.isReading { receive() }
  }
}

extension ReadPipeTransport: ByteReceiving {
  func deliver(_ bytes: Span<UInt8>) throws { try receiver?.dataReceived(bytes) }

  func receivingFailed(_ code: Errno) {
    if code == .wouldBlock { return }
    // This is how a terminal says that there is nobody at its other side any more.
    if code == .ioError, kind == .characterDevice { return receiveEnd() }
    let error = IOError(code, endpoint.calls.receive.description, name)
    report("read error on a pipe", error)
    end(error)
  }

  func receiveEnd() {
    let action = state.peerEnded()
    guard action == .tellEnd else { return perform(action) }
    do {
      try receiver?.eofReceived()
      close()
    } catch {
      protocolFailed("eofReceived", error)
    }
  }
}
