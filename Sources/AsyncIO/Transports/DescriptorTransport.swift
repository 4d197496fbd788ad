// SPDX-License-Identifier: Apache-2.0
import Logging
import SystemPackage

/// A transport on a descriptor of its own: the one life that connections, endpoints and pipes have.
///
/// It is never made by a program, which meets it as a ``StreamTransport``, a ``DatagramTransport``, a
/// ``ReadPipeTransport`` or a ``WritePipeTransport``. It belongs to its loop's thread.
///
/// Whatever comes from outside enters by few doors: the program's calls, `descriptorIsReady`, timers, and what was
/// scheduled. Each of them ends with `settle`, and nothing between them speaks to the poller.
public class DescriptorTransport: BaseTransport {
  final let loop: EventLoop
  /// What transports of one loop share.
  final let memory: TransportMemory
  /// Ours to close, which happens right after `connectionLost`.
  final let endpoint: TransportEndpoint
  final let descriptor: FileDescriptor
  final let kind: FileKind
  /// What it may do now, and has to do next.
  final var state = TransportState()
  /// How much may wait to be sent.
  final var marks = WaterMarks()
  /// Whether the protocol was told of the transport, and so has to be told of its end.
  final var wasMade = false
  /// Told after `connectionLost`, by whoever made the transport. Nil afterwards, since it may refer to this.
  private final var onEnd: ((DescriptorTransport) -> Void)?
  /// A socket's own address, once somebody has asked.
  private final var knownLocalAddress: SocketAddress?
  /// From the start until the descriptors are let go of: what is watched, and what the program gave us if that is another.
  private final var claim: DescriptorClaim?
  private final var originalClaim: DescriptorClaim?
  /// What the poller was told to watch for.
  private(set) final var watched: Interest = []
  /// Whether the poller cannot watch the descriptor.
  private final var isUnwatchable = false
  /// Whether a descriptor that cannot be watched has its turn in the next iteration.
  private final var hasTurn = false

  init(_ loop: EventLoop, _ endpoint: TransportEndpoint, onEnd: ((DescriptorTransport) -> Void)? = nil) {
    self.loop = loop
    self.onEnd = onEnd
    memory = loop.transportMemory
    self.endpoint = endpoint
    descriptor = endpoint.descriptor
    kind = endpoint.kind
  }

  // MARK: What the kinds of transport differ in

  /// What the transport is called: by itself, and in front of its name.
  class var titles: (noun: String, title: String) { misuse("a transport of no kind has no title") }
  /// The peer, or the descriptor, for errors and logs.
  var name: String { endpoint.name }
  /// Who is told of the end and of flow control; nil after `connectionLost`.
  var listener: (any BaseProtocol)? { nil }
  /// Whether the end has to wait for what was accepted.
  var hasUnsentBytes: Bool { false }
  /// Whether what arrives is read, and dropped, while the end waits for what was accepted.
  var drainsWhileClosing: Bool { false }
  /// Whether there is something that the kernel could take.
  var hasBytesForKernel: Bool { false }
  /// How much waits, for the marks.
  var unsentSize: Int { 0 }
  /// What has to be heard of the descriptor. An end is looked for wherever something is.
  var wantedInterest: Interest {
    var interest = state.interest(hasUnsentBytes: hasBytesForKernel)
    if !interest.isEmpty { interest.insert(.hangUp) }
    return interest
  }

  /// Does what the descriptor is ready for.
  func serve(_ ready: Interest) {}

  /// Reading goes on after a pause.
  func readingWasResumed() {}

  /// Drops what waits to be sent.
  func discardUnsent() {}

  // MARK: The end

  public final var isClosing: Bool {
    check("isClosing")
    return state.isClosing
  }

  public func close() {
    check("close")
    defer { settle() }
    perform(state.close(hasUnsentBytes: hasUnsentBytes, drains: drainsWhileClosing))
  }

  /// Ends it now, whatever is unsent.
  final func end(_ error: (any Error)?) { perform(state.end(), error) }

  /// Does what the state has decided.
  func perform(_ action: TransportState.Action, _ error: (any Error)? = nil) {
    if case .trap(let mistake) = action { misuse(mistake.sentence) }
    guard action == .end else { return }
    discardUnsent()
    marks.silence()
    // After a loop's end there is nobody to call any more.
    if !loop.isClosed { loop.callSoon { self.finish(error) } }
  }

  /// Does what waited for the last byte, once that is out.
  final func lastByteWasSent() {
    if !hasUnsentBytes { perform(state.lastByteWasSent()) }
  }

  /// The last call to the protocol; then everything is let go of.
  private final func finish(_ error: (any Error)?) {
    if wasMade {
      do { try listener?.connectionLost(error) } catch { report("error in a protocol's connectionLost", error) }
    }
    let onEnd = onEnd
    letGo()
    onEnd?(self)
  }

  /// Gives up everything that it has.
  func letGo() {
    guard let claim else { return }
    loop.release(claim)
    if let originalClaim { loop.release(originalClaim) }
    self.claim = nil
    watched = []
    onEnd = nil
    // Asked for afterwards too.
    _ = findLocalAddress()
    endpoint.close(loop.kernel)
  }

  final func findLocalAddress() -> SocketAddress? {
    if knownLocalAddress == nil, case .socket(let end) = endpoint { knownLocalAddress = end.socket.localAddress }
    return knownLocalAddress
  }

  // MARK: Reports

  /// Traps when a method is called from another thread than the loop's.
  @inline(__always)
  final func check(_ method: StaticString) { loop.checkThread(method, of: self) }

  /// Reports what a protocol's method threw, and ends the transport with it.
  final func protocolFailed(_ method: String, _ error: any Error) {
    report("error in a protocol's \(method)", error)
    end(error)
  }

  final func report(_ message: String, _ error: any Error) {
    var context = ExceptionContext(message: message, error: error)
    context.protocol = listener
    context.transport = self
    loop.callExceptionHandler(context)
  }

  /// Tells the protocol to pause or to go on, as things stand now. Nothing of it is decided before another call of the
  /// program's code.
  final func tellFlow() {
    while true {
      let signal = marks.nextSignal(count: unsentSize)
      if signal == .none { return }
      do { try listener?.tell(signal) } catch { report("error in a protocol's \(signal.method)", error) }
      marks.didTell(signal)
    }
  }

  // MARK: The poller

  /// Becomes the owner of the descriptor.
  final func claimDescriptor() {
    claim = loop.claim(descriptor, for: self)
    if endpoint.number != descriptor { originalClaim = loop.claim(endpoint.number, for: self) }
  }

  /// Has the poller told what is wanted from now on: the last thing that every way in does.
  @inline(__always)
  final func settle() {
    let wanted = wantedInterest
    if wanted != watched { watch(wanted) }
  }

  private final func watch(_ wanted: Interest) {
    guard let claim else { return }
    watched = wanted
    if isUnwatchable { return takeTurns() }
    do throws(Errno) {
      try loop.setInterest(wanted, for: claim)
    } catch {
      if error == .notPermitted, kind == .characterDevice {
        isUnwatchable = true
        return takeTurns()
      }
      watched = []
      end(IOError(error, "epoll", name))
    }
  }

  /// Some character devices, such as `/dev/null`, cannot be watched: they never make anybody wait. Those count as ready
  /// in each iteration in which something is wanted of them.
  private final func takeTurns() {
    guard !hasTurn, !watched.subtracting(.hangUp).isEmpty else { return }
    hasTurn = true
    loop.callSoon { [self] in
      hasTurn = false
      let ready = watched.subtracting(.hangUp)
      if !ready.isEmpty { descriptorIsReady(ready) }
      takeTurns()
    }
  }
}

extension DescriptorTransport: ReadinessWatcher {
  final func descriptorIsReady(_ ready: Interest) {
    serve(ready)
    settle()
  }

  final var ownsDescriptor: Bool { !state.hasEnded }

  final func loopWasClosed() {
    if loop.debug, !state.hasEnded {
      EventLoop.log.warning("a \(Self.titles.noun) (\(name)) was still open when its event loop was closed")
    }
    _ = state.end()
    discardUnsent()
    letGo()
  }
}

extension DescriptorTransport: CustomStringConvertible {
  /// Names what it is and its peer, or its descriptor, such as `connection with 127.0.0.1:80` or `reading pipe 0`.
  public final var description: String { "\(Self.titles.title) \(name)" }
}
