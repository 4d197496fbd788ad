// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// The reading end of a pipe, or of what is read like one. asyncio's `ReadTransport` of `connect_read_pipe`.
///
/// It is made by `connectReadPipe`, which hands it to the protocol in `connectionMade`. It belongs to its loop's thread.
public final class ReadPipeTransport: ReadTransport, PipeTransport {
  let loop: EventLoop
  let pipe: PipeEnd
  /// A stream's life, without a write side.
  private var state = StreamTransportState()
  /// Who is called; nil after `connectionLost`.
  private var receiver: (any ReadPipeProtocol)?
  /// Told after `connectionLost`, by whoever made the pipe. Nil afterwards, since it may refer to this.
  private var onEnd: ((ReadPipeTransport) -> Void)?

  /// Takes over a descriptor, which has to be non-blocking.
  ///
  /// - Parameters:
  ///   - loop: the loop.
  ///   - descriptor: the transport's from now on, closed right after `connectionLost`.
  ///   - kind: what it stands for.
  ///   - restoresFlags: whether `BorrowedBlockingMode` has to give it back before it is closed.
  ///   - original: what the program gave us, where `descriptor` is another one that stands for it; closed with it.
  ///   - onEnd: told after `connectionLost`, when the descriptor is closed.
  init(
    _ loop: EventLoop, _ descriptor: FileDescriptor, kind: FileKind = .pipe, restoresFlags: Bool,
    original: FileDescriptor? = nil, onEnd: ((ReadPipeTransport) -> Void)? = nil
  ) {
    self.loop = loop
    self.onEnd = onEnd
    pipe = PipeEnd(loop, descriptor, kind: kind, restoresFlags: restoresFlags, original: original)
  }

  /// Ties the protocol to the transport: tells it of the pipe, then starts to read.
  func start(_ receiver: any ReadPipeProtocol) {
    pipe.claim(for: self)
    self.receiver = receiver
    do {
      try receiver.connectionMade(self)
    } catch {
      protocolFailed("connectionMade", error)
    }
    state.didStart()
    updateInterest()
  }

  // MARK: Information

  /// The protocol that is called now; nil after `connectionLost`. asyncio's `get_protocol`.
  public func getProtocol() -> (any ReadPipeProtocol)? {
    loop.checkThread("ReadPipeTransport.getProtocol")
    return receiver
  }

  /// Has another protocol called from now on, without a `connectionMade`. asyncio's `set_protocol`.
  public func setProtocol(_ newProtocol: any ReadPipeProtocol) {
    loop.checkThread("ReadPipeTransport.setProtocol")
    if receiver != nil { receiver = newProtocol }
  }

  // MARK: Reading

  public var isReading: Bool {
    loop.checkThread("ReadPipeTransport.isReading")
    return state.isReading
  }

  public func pauseReading() {
    loop.checkThread("ReadPipeTransport.pauseReading")
    state.pauseReading()
    updateInterest()
  }

  public func resumeReading() {
    loop.checkThread("ReadPipeTransport.resumeReading")
    state.resumeReading()
    updateInterest()
  }

  private func read() {
    let count: Int
    do throws(Errno) {
      count = try loop.readBuffer.fill { (target) throws(Errno) in try pipe.read(into: &target) }
    } catch {
      readFailed(error)
      return
    }
    guard count > 0 else {
      receiveEnd()
      return
    }
    do {
      try loop.readBuffer.withPrefix(count) { try receiver?.dataReceived($0) }
    } catch {
      protocolFailed("dataReceived", error)
    }
  }

  private func readFailed(_ code: Errno) {
    if code == .wouldBlock { return }
    // This is how a terminal says that there is nobody at its other side any more.
    if code == .ioError, pipe.kind == .characterDevice {
      receiveEnd()
      return
    }
    let error = IOError(code, "read", pipe.name)
    report("read error on a pipe", error)
    end(error)
  }

  private func receiveEnd() {
    state.reachedEnd()
    do {
      try receiver?.eofReceived()
      close()
    } catch {
      protocolFailed("eofReceived", error)
    }
  }

  // MARK: Closing

  public var isClosing: Bool {
    loop.checkThread("ReadPipeTransport.isClosing")
    return state.isClosing
  }

  /// Closes it: reading ends now, then `connectionLost(nil)` is called. asyncio's `close`.
  public func close() {
    loop.checkThread("ReadPipeTransport.close")
    end(nil)
  }

  private func end(_ error: (any Error)?) {
    guard state.end() == .end else { return }
    updateInterest()
    // After a loop's end there is nobody to call any more.
    if !loop.isClosed { loop.callSoon { self.finish(error) } }
  }

  /// Reports what a protocol's method threw, and closes the pipe with it.
  private func protocolFailed(_ method: String, _ error: any Error) {
    report("error in a protocol's \(method)", error)
    end(error)
  }

  private func report(_ message: String, _ error: any Error) {
    var context = ExceptionContext(message: message, error: error)
    context.protocol = receiver
    context.transport = self
    loop.callExceptionHandler(context)
  }

  private func updateInterest() {
    do throws(Errno) {
      try pipe.setInterest(state.interest(hasUnsentBytes: false))
    } catch {
      end(IOError(error, "epoll", pipe.name))
    }
  }

  /// The last call to the protocol; then everything is let go of.
  private func finish(_ error: (any Error)?) {
    do { try receiver?.connectionLost(error) } catch { report("error in a protocol's connectionLost", error) }
    let onEnd = onEnd
    letGo()
    onEnd?(self)
  }

  private func letGo() {
    // Kept until this object is done changing: a protocol may call back from its deinit.
    let last = receiver
    defer { withExtendedLifetime(last) {} }
    receiver = nil
    onEnd = nil
    pipe.close()
  }
}

extension ReadPipeTransport: ReadinessWatcher {
  func descriptorIsReady(_ ready: Interest) {
    if ready.contains(.read), state.isReading { read() }
  }

  var ownsDescriptor: Bool { !state.hasEnded }

  func loopWasClosed() {
    if loop.debug, !state.hasEnded {
      EventLoop.log.warning("a read pipe (\(pipe.name)) was still open when its event loop was closed")
    }
    _ = state.end()
    letGo()
  }
}
