// SPDX-License-Identifier: Apache-2.0

/// The writing end of a pipe, or of what is written to like one. asyncio's `WriteTransport` of `connect_write_pipe`.
///
/// It is made by `connectWritePipe`, which hands it to the protocol in `connectionMade`. It belongs to its loop's
/// thread. Where a pipe's or a unix socket's reader goes away, `connectionLost` says so without a write; its error is a
/// broken pipe if bytes were still to be sent, and nil otherwise.
public final class WritePipeTransport: WritingTransport<any WritePipeProtocol>, PipeTransport {
  override init(_ loop: EventLoop, _ own: OwnedDescriptor, _ socket: Socket? = nil) {
    super.init(loop, own, socket)
    state = TransportState(reads: false)
  }

  override class var titles: (noun: String, title: String) { ("write pipe", "writing") }
  override func tellMade(_ receiver: any WritePipeProtocol) throws { try receiver.connectionMade(self) }

  /// A pipe is watched for its reader's end at all times. A terminal is not: its other side may come back. But while
  /// bytes wait, its hang-up has to be seen too, since it counts as room for bytes that there is not.
  override var awaitsHangUp: Bool { own.kind != .characterDevice && !state.hasEnded }

  override func hungUp() {
    end(backlog == nil ? nil : sendError(.brokenPipe))
  }
}
