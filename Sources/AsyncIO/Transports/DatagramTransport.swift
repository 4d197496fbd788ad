// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// An endpoint that sends and receives datagrams. asyncio's `DatagramTransport`.
///
/// It is made by `createDatagramEndpoint`, which hands it to the protocol in `connectionMade`. It belongs to its loop's
/// thread.
public final class DatagramTransport: ProtocolTransport<any DatagramProtocol>, SendingTransport, SocketTransport {
  private var queue = DatagramQueue()
  /// Where datagrams go as the program named it: a broadcast address, which the endpoint is not connected to, or one that
  /// stands for the peer's, such as `0.0.0.0`.
  private let destination: SocketAddress?
  /// Whether what arrives may be longer than any IP packet.
  let takesLongDatagrams: Bool
  /// The file that a unix socket is bound to; removed with the socket.
  private let file: SocketFile?
  /// Whether `errorReceived` runs: what it sends may fail again.
  private var isReportingError = false

  init(
    _ loop: EventLoop, _ socket: Socket, remoteAddress: SocketAddress?, destination: SocketAddress?, file: SocketFile?
  ) {
    self.destination = destination
    self.file = file
    let family = socket.family
    takesLongDatagrams = family != .ipv4 && family != .ipv6
    super.init(loop, OwnedDescriptor(socket, loop.kernel, remoteAddress: remoteAddress), socket)
  }

  // MARK: What makes it an endpoint

  override class var titles: (noun: String, title: String) { ("datagram endpoint", "datagram endpoint") }
  override var name: String { (remoteAddress ?? destination ?? findLocalAddress())?.description ?? super.name }
  override var unsentSize: Int { queue.size }
  override func tellMade(_ receiver: any DatagramProtocol) throws { try receiver.connectionMade(self) }
  override func discardUnsent() { queue.removeAll() }

  override func hungUp() {
    for error in loop.kernel.takeQueuedErrors(own.descriptor) where !state.hasEnded {
      failed(IOError(error.code, "send", error.destination?.description ?? name))
    }
  }

  override func release() {
    if !socket.isClosed { file?.remove() }
    super.release()
  }

  // MARK: Receiving

  /// Receives one batch: what is left is for the next tick.
  override func read() {
    let batch = takesLongDatagrams ? memory.messageBatch : memory.packetBatch
    do throws(Errno) {
      try loop.kernel.receive(own.descriptor, into: batch)
    } catch {
      if error != .wouldBlock { failed(IOError(error, "recv", name)) }
      return
    }
    for index in 0..<batch.count {
      // The protocol may close the endpoint, which then drops the rest.
      guard state.isReading else { return }
      let sender = batch.sender(index)
      if batch.isTruncated(index) {
        failed(IOError(.messageTooLong, "recv", sender.description))
        continue
      }
      do {
        try batch.withBytes(index) { try receiver?.datagramReceived($0, from: sender) }
      } catch {
        protocolFailed("datagramReceived", error)
      }
    }
  }

  // MARK: Sending

  /// Sends a datagram, or queues a copy when the kernel does not take it now. asyncio's `sendto`.
  ///
  /// It never blocks and never throws: a failure comes as ``DatagramProtocol/errorReceived(_:)``. An empty datagram is
  /// sent as such.
  ///
  /// - Parameters:
  ///   - data: the datagram; it is copied if it has to wait.
  ///   - address: where it goes; nil for the remote address that the endpoint was made with. On an endpoint with a
  ///     remote address, another one is an error: `EISCONN`.
  public func sendTo(_ data: Span<UInt8>, _ address: SocketAddress? = nil) {
    check("sendTo")
    guard state.acceptsWrites else { return noteDropped("sent by") }
    if let address, let only = remoteAddress ?? destination, address != only, address != destination {
      // No programmer's error: the address may be that of whoever has sent something.
      let subject = "\(address) (the endpoint's remote address is \(only))"
      return failed(IOError(.socketIsConnected, "send", subject))
    }
    // None where the socket is connected.
    let target = remoteAddress == nil ? address ?? destination : nil
    // What is queued goes first.
    if queue.isEmpty {
      do throws(Errno) {
        try loop.kernel.send(own.descriptor, data, to: target)
        return
      } catch {
        if error != .wouldBlock { return failed(IOError(error, "send", target?.description ?? name)) }
      }
    }
    queue.append(OutgoingDatagram([UInt8](copying: data), to: target))
    settle()
    tellFlow()
  }

  /// Sends a datagram, or queues a copy when the kernel does not take it now. asyncio's `sendto`.
  public func sendTo(_ data: [UInt8], _ address: SocketAddress? = nil) { sendTo(data.span, address) }

  /// Sends a string's UTF-8 bytes as a datagram, or queues them when the kernel does not take them now. asyncio's
  /// `sendto`.
  public func sendTo(_ text: String, _ address: SocketAddress? = nil) { sendTo(text.utf8Span.span, address) }

  /// Sends one batch of what is queued.
  override func flush() {
    if queue.isEmpty { return }
    do throws(Errno) {
      queue.removeFirst(try loop.kernel.send(own.descriptor, queue.front))
    } catch .wouldBlock {
      // The poller said that the socket takes a datagram, and it does not: a unix socket at the other end is full, which the
      // poller knows nothing of. Asking it again at once would spin.
      return setTimer(.milliseconds(1)) {}
    } catch {
      // It was the first's error; the others may fare better.
      let address = queue.front.first?.address
      queue.removeFirst(1)
      failed(IOError(error, "send", address?.description ?? name))
    }
    tellFlow()
    // The protocol may have sent, or closed, in answer to that.
    lastByteWasSent()
  }

  // MARK: Errors

  /// Tells the protocol of a failed call. A protocol that answers an error by sending what fails again is told of that
  /// in the next iteration: it would else call itself until the stack ends.
  private func failed(_ error: IOError) {
    if isReportingError {
      loop.callSoon { self.tellError(error) }
    } else {
      tellError(error)
    }
  }

  private func tellError(_ error: IOError) {
    isReportingError = true
    defer {
      isReportingError = false
      settle()
    }
    do { try receiver?.errorReceived(error) } catch { protocolFailed("errorReceived", error) }
  }
}
