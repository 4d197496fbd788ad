// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// An endpoint that sends and receives datagrams. asyncio's `DatagramTransport`.
///
/// It is made by `createDatagramEndpoint`, which hands it to the protocol in `connectionMade`. It belongs to its loop's
/// thread.
public final class DatagramTransport: BaseTransport, SocketTransport {
  let loop: EventLoop
  /// Ours to close, which happens right after `connectionLost`.
  let socket: Socket
  /// A stream's life, without the end of either side.
  private var state = StreamTransportState()
  private var queue = DatagramQueue()
  /// Who is called; nil after `connectionLost`.
  private var receiver: (any DatagramProtocol)?
  /// The address of the peer that the endpoint is connected to; nil when it is open to all.
  public let remoteAddress: SocketAddress?
  /// Where datagrams go as the program named it: a broadcast address, which the endpoint is not connected to, or one that
  /// stands for the peer's, such as `0.0.0.0`.
  private let destination: SocketAddress?
  /// Whether what arrives may be longer than any IP packet.
  let takesLongDatagrams: Bool
  private var cachedLocalAddress: SocketAddress?
  /// The file that a unix socket is bound to; removed with the socket.
  private let file: SocketFile?
  /// Whether `errorReceived` runs: what it sends may fail again.
  private var isReportingError = false
  /// Runs out when the queue is tried again; nil while the poller tells.
  private var retryTimer: TimerHandle?
  /// What was sent after the end.
  private var droppedSends = DroppedWrites()

  init(
    _ loop: EventLoop, _ socket: Socket, remoteAddress: SocketAddress?, destination: SocketAddress?, file: SocketFile?
  ) {
    self.loop = loop
    self.socket = socket
    self.remoteAddress = remoteAddress
    self.destination = destination
    self.file = file
    let family = socket.family
    takesLongDatagrams = family != .ipv4 && family != .ipv6
  }

  /// Ties the protocol to the transport: tells it of the endpoint, then starts to receive.
  func start(_ receiver: any DatagramProtocol) {
    loop.claim(socket.descriptor, for: self)
    self.receiver = receiver
    do {
      try receiver.connectionMade(self)
    } catch {
      protocolFailed("connectionMade", error)
    }
    state.didStart()
    updateInterest()
  }

  // MARK: Protocol

  /// The protocol that is called now; nil after `connectionLost`. asyncio's `get_protocol`.
  public func getProtocol() -> (any DatagramProtocol)? {
    loop.checkThread("DatagramTransport.getProtocol")
    return receiver
  }

  /// Has another protocol called from now on, without a `connectionMade`. asyncio's `set_protocol`.
  public func setProtocol(_ newProtocol: any DatagramProtocol) {
    loop.checkThread("DatagramTransport.setProtocol")
    if receiver != nil { receiver = newProtocol }
  }

  // MARK: Information

  /// The endpoint's own address; nil where there is none.
  public var localAddress: SocketAddress? {
    loop.checkThread("DatagramTransport.localAddress")
    if cachedLocalAddress == nil { cachedLocalAddress = socket.localAddress }
    return cachedLocalAddress
  }

  // MARK: Receiving

  /// Receives one batch: what is left is for the next tick.
  private func receive() {
    let batch = takesLongDatagrams ? loop.messageBatch : loop.packetBatch
    do throws(Errno) {
      try loop.kernel.receive(socket.descriptor, into: batch)
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
    guard admitsSend() else { return }
    if let address, let only = remoteAddress ?? destination, address != only, address != destination {
      // No programmer's error: the address may be that of whoever has sent something.
      let subject = "\(address) (the endpoint's remote address is \(only))"
      failed(IOError(.socketIsConnected, "send", subject))
      return
    }
    // None where the socket is connected.
    let target = remoteAddress == nil ? address ?? destination : nil
    // What is queued goes first.
    if queue.isEmpty {
      do throws(Errno) {
        try loop.kernel.send(socket.descriptor, data, to: target)
        return
      } catch {
        if error != .wouldBlock {
          failed(IOError(error, "send", target?.description ?? name))
          return
        }
      }
    }
    queue.append(OutgoingDatagram([UInt8](copying: data), to: target))
    updateInterest()
    tellFlow()
  }

  /// Sends a datagram, or queues a copy when the kernel does not take it now. asyncio's `sendto`.
  public func sendTo(_ data: [UInt8], _ address: SocketAddress? = nil) { sendTo(data.span, address) }

  /// Sends a string's UTF-8 bytes as a datagram, or queues them when the kernel does not take them now. asyncio's
  /// `sendto`.
  public func sendTo(_ text: String, _ address: SocketAddress? = nil) { sendTo(text.utf8Span.span, address) }

  private func admitsSend() -> Bool {
    loop.checkThread("DatagramTransport.sendTo")
    if state.acceptsWrites { return true }
    if droppedSends.isWorthAWarning() {
      EventLoop.log.warning("what is sent by a closed datagram endpoint (\(name)) is dropped")
    }
    return false
  }

  /// Sends one batch of what is queued.
  private func flush() {
    do throws(Errno) {
      queue.removeFirst(try loop.kernel.send(socket.descriptor, queue.front))
    } catch .wouldBlock {
      retrySoon()
      return
    } catch {
      // It was the first's error; the others may fare better.
      let address = queue.front.first?.address
      queue.removeFirst(1)
      failed(IOError(error, "send", address?.description ?? name))
    }
    tellFlow()
    // The protocol may have sent, or closed, in answer to that.
    if queue.isEmpty, !state.hasEnded { perform(state.lastByteWasSent()) }
    updateInterest()
  }

  /// Looks again in a moment. The poller said that the socket takes a datagram, and it does not: a unix socket at the
  /// other end is full, which the poller knows nothing of. Asking it again at once would spin.
  private func retrySoon() {
    retryTimer = loop.callLater(.milliseconds(1)) { [unowned self] in
      retryTimer = nil
      updateInterest()
    }
    updateInterest()
  }

  /// How many bytes are queued, with the eight that each datagram counts for beyond its own. asyncio's
  /// `get_write_buffer_size`.
  public var writeBufferSize: Int {
    loop.checkThread("DatagramTransport.writeBufferSize")
    return queue.size
  }

  /// The water marks in bytes. asyncio's `get_write_buffer_limits`.

  public var writeBufferLimits: (low: Int, high: Int) {
    loop.checkThread("DatagramTransport.writeBufferLimits")
    return queue.limits
  }

  /// Sets the water marks, in bytes: the protocol is told to pause when more than `high` are queued, and to go on when
  /// `low` or fewer are. asyncio's `set_write_buffer_limits`.
  ///
  /// - Parameters:
  ///   - high: by default four times `low`; without that, 64 KiB.
  ///   - low: by default a quarter of `high`. It must not be negative or above `high`.
  public func setWriteBufferLimits(high: Int? = nil, low: Int? = nil) {
    loop.checkThread("DatagramTransport.setWriteBufferLimits")
    queue.setLimits(high: high, low: low)
    tellFlow()
  }

  // MARK: Closing

  public var isClosing: Bool {
    loop.checkThread("DatagramTransport.isClosing")
    return state.isClosing
  }

  public func close() {
    loop.checkThread("DatagramTransport.close")
    perform(state.close(hasUnsentBytes: !queue.isEmpty))
    updateInterest()
  }

  /// Closes it at once: what is queued is dropped, `connectionLost` is called soon. asyncio's `abort`.
  ///
  /// - Parameter error: what `connectionLost` is told.
  public func abort(_ error: (any Error)? = nil) {
    loop.checkThread("DatagramTransport.abort")
    end(error)
  }

  private func end(_ error: (any Error)?) { perform(state.end(), error) }

  // MARK: Errors

  /// Tells the protocol of a failed call. A protocol that answers an error by sending what fails again is told of that
  /// in the next iteration: it would else call itself until the stack ends.
  private func failed(_ error: IOError) {
    if isReportingError {
      loop.callSoon { self.tell(error) }
    } else {
      tell(error)
    }
  }

  private func tell(_ error: IOError) {
    isReportingError = true
    defer { isReportingError = false }
    do { try receiver?.errorReceived(error) } catch { protocolFailed("errorReceived", error) }
  }

  /// Reports what a protocol's method threw, and closes the endpoint with it.
  private func protocolFailed(_ method: String, _ error: any Error) {
    report(method, error)
    end(error)
  }

  private func report(_ method: String, _ error: any Error) {
    var context = ExceptionContext(message: "error in a protocol's \(method)", error: error)
    context.protocol = receiver
    context.transport = self
    loop.callExceptionHandler(context)
  }

  // MARK: Performing what the state decides

  private func perform(_ action: StreamTransportState.Action, _ error: (any Error)? = nil) {
    guard action == .end else { return }
    queue.discard()
    updateInterest()
    // After a loop's end there is nobody to call any more.
    if !loop.isClosed { loop.callSoon { self.finish(error) } }
  }

  /// Tells the protocol to pause or to go on, as things stand now. Nothing of it is decided before another call of the
  /// program's code.
  private func tellFlow() {
    while true {
      let signal = queue.nextSignal()
      if signal == .none { return }
      do { try receiver?.tell(signal) } catch { report(signal.method, error) }
      queue.didTell(signal)
    }
  }

  private func updateInterest() {
    guard !loop.isClosed, loop.readiness.watcher(of: socket.descriptor) === self else { return }
    var interest = state.interest(hasUnsentBytes: !queue.isEmpty && retryTimer == nil)
    if !interest.isEmpty { interest.insert(.hangUp) }
    do throws(Errno) {
      try loop.setInterest(interest, for: socket.descriptor)
    } catch {
      end(IOError(error, "epoll", name))
    }
  }

  /// The last call to the protocol; then everything is let go of.
  private func finish(_ error: (any Error)?) {
    do { try receiver?.connectionLost(error) } catch { report("connectionLost", error) }
    letGo()
  }

  private func letGo() {
    // Kept until this object is done changing: a protocol may call back from its deinit.
    let last = receiver
    defer { withExtendedLifetime(last) {} }
    receiver = nil
    retryTimer?.cancel()
    retryTimer = nil
    if !loop.isClosed, loop.readiness.watcher(of: socket.descriptor) === self { loop.release(socket.descriptor) }
    // Asked for afterwards too.
    if cachedLocalAddress == nil { cachedLocalAddress = socket.localAddress }
    if !socket.isClosed { file?.remove() }
    socket.closeDescriptor()
  }

  var name: String {
    (remoteAddress ?? destination ?? localAddress)?.description ?? "descriptor \(socket.descriptor.rawValue)"
  }
}

extension DatagramTransport: ReadinessWatcher {
  func descriptorIsReady(_ ready: Interest) {
    if ready.contains(.hangUp) {
      for error in loop.kernel.takeQueuedErrors(socket.descriptor) where !state.hasEnded {
        failed(IOError(error.code, "send", error.destination?.description ?? name))
      }
    }
    if ready.contains(.read), state.isReading { receive() }
    if ready.contains(.write), !queue.isEmpty { flush() }
  }

  var ownsDescriptor: Bool { !state.hasEnded }

  func loopWasClosed() {
    if loop.debug, !state.hasEnded {
      EventLoop.log.warning("a datagram endpoint (\(name)) was still open when its event loop was closed")
    }
    _ = state.end()
    queue.discard()
    letGo()
  }
}
