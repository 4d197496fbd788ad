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
public class DescriptorTransport: ReadinessWatcher, BaseTransport {
  final let loop: EventLoop
  /// What transports of one loop share.
  final let memory: TransportMemory
  /// What few transports have.
  private(set) final var rarities: TransportRarities?
  /// Closed right after `connectionLost`.
  final let own: OwnedDescriptor
  /// From the start until the descriptor is released; void before and afterwards.
  private final var claim = DescriptorClaim.void
  /// What it may do now, and has to do next.
  final var state = TransportState()
  /// Whether the protocol was told that too much waits.
  private final var flow = FlowControl()
  /// What was sent after the end.
  private final var droppedWrites = DroppedWrites()
  /// Whether the protocol was told of the transport, and so has to be told of its end.
  final var wasMade = false
  /// What the poller was told to watch for.
  private(set) final var watched: Interest = []
  /// Whether the poller cannot watch the descriptor.
  private final var isUnwatchable = false
  /// Whether it has a turn in the next iteration.
  private final var hasTurn = false
  /// Its place among the connections of the server that has accepted it: here rather than where connections are, since between these
  /// it takes no memory.
  final var place: Int32 = 0

  /// - Parameter socket: the one that was handed over, where the program may have it too.
  init(_ loop: EventLoop, _ own: OwnedDescriptor, _ socket: Socket? = nil) {
    self.loop = loop
    memory = loop.transportMemory
    self.own = own
    super.init()
    if let socket { makeRarities().socket = socket }
  }

  // MARK: What the kinds of transport differ in

  /// What the transport is called: by itself, and in front of its name.
  class var titles: (noun: String, title: String) { misuse("a transport of no kind has no title") }
  /// The peer, or the descriptor, for errors and logs.
  var name: String { own.name }
  /// Who is told of the end and of flow control; nil after `connectionLost`.
  var listener: (any BaseProtocol)? { nil }
  /// How much waits to be sent, for the marks.
  var unsentSize: Int { 0 }
  /// Whether the end has to wait for what was accepted.
  var hasUnsentBytes: Bool { unsentSize > 0 }
  /// Whether there is something that the kernel could take, as soon as the poller says so.
  var hasBytesForKernel: Bool { hasUnsentBytes && rarities?.timer == nil }
  /// Whether what arrives is read, and dropped, while the end waits for what was accepted.
  var drainsWhileClosing: Bool { false }
  /// Whether a hang-up is looked for also where nothing else is.
  var awaitsHangUp: Bool { false }

  /// Takes what has arrived, and hands it to the protocol.
  func read() {}

  /// Sends what waits, as far as the kernel takes it.
  func flush() {}

  /// Something has happened to the descriptor that nobody asks for: a hang-up, or an error.
  func hungUp() {}

  /// What is due without a word from the poller.
  func takeTurn() { serve(watched.subtracting(.hangUp)) }

  /// Drops what waits to be sent.
  func discardUnsent() {}

  /// Tells the protocol that the peer has ended its side.
  ///
  /// - Returns: whether the transport stays open.
  func tellEOF() throws -> Bool { false }

  // MARK: Closing

  public final var isClosing: Bool {
    check("isClosing")
    return state.isClosing
  }

  public final func close() {
    check("close")
    defer { settle() }
    perform(state.close(hasUnsentBytes: hasUnsentBytes, drains: drainsWhileClosing))
  }

  /// Ends it now, whatever is unsent.
  final func end(_ error: (any Error)?) { perform(state.end(), error) }

  /// Does what the state has decided.
  func perform(_ action: TransportState.Action, _ error: (any Error)? = nil) {
    switch action {
    case .trap(let mistake): misuse(mistake.sentence)
    case .deliverSoon: scheduleTurn()
    case .tellEnd: tellEnd()
    case .end:
      discardUnsent()
      cancelTimer()
      flow.silence()
      // After a loop's end there is nobody to call any more.
      if !loop.isClosed { memory.endings.schedule(self, error) }
    default: break
    }
  }

  private final func tellEnd() {
    do { if try !tellEOF() { close() } } catch { protocolFailed("eofReceived", error) }
  }

  /// Does what waited for the last byte, once that is out.
  final func lastByteWasSent() {
    if !hasUnsentBytes { perform(state.lastByteWasSent()) }
  }

  /// The last call to the protocol; then everything is released.
  func tellLost(_ error: (any Error)?) {
    if wasMade {
      do { try listener?.connectionLost(error) } catch { report("error in a protocol's connectionLost", error) }
    }
    release()
  }

  /// Gives up everything that it has.
  func release() {
    if claim.isVoid { return }
    // Asked for afterwards too.
    _ = findLocalAddress()
    loop.release(own.descriptor, claim)
    if let original = rarities?.originalClaim { loop.release(own.known, original) }
    claim = .void
    watched = []
    cancelTimer()
    if let socket = rarities?.socket { socket.closeDescriptor() } else { own.close() }
  }

  final func makeRarities() -> TransportRarities {
    let made = rarities ?? TransportRarities()
    rarities = made
    return made
  }

  final func findLocalAddress() -> SocketAddress? {
    if let known = rarities?.localAddress { return known }
    guard !claim.isVoid, let address = own.localAddress else { return nil }
    makeRarities().localAddress = address
    return address
  }

  /// The socket, to look at; nil for a pipe.
  final func findSocket() -> Socket? {
    if let socket = rarities?.socket { return socket }
    guard own.isSocket else { return nil }
    let socket = Socket(ofTransport: own.descriptor, isOpen: !claim.isVoid, loop.kernel)
    makeRarities().socket = socket
    return socket
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

  /// Notes that something was sent behind the end, and warns of a program that goes on with that.
  final func noteDropped(_ what: StaticString) {
    if droppedWrites.isWorthAWarning() {
      let noun = own.kind == .socket ? Self.titles.noun : "pipe"
      EventLoop.log.warning("what is \(what) a closed \(noun) (\(name)) is dropped")
    }
  }

  /// How much may wait to be sent.
  final var marks: WaterMarks { rarities?.marks ?? .standard }

  /// Tells the protocol to pause or to go on, as things stand now. Nothing of it is decided before another call of the
  /// program's code.
  final func tellFlow() {
    while true {
      let signal = flow.nextSignal(count: unsentSize, marks)
      if signal == .none { return }
      do { try listener?.tell(signal) } catch { report("error in a protocol's \(signal.method)", error) }
      flow.didTell(signal)
    }
  }

  // MARK: The poller

  /// Becomes the owner of the descriptor.
  final func claimDescriptor() {
    claim = loop.claim(own.descriptor, for: self)
    if own.known != own.descriptor { makeRarities().originalClaim = loop.claim(own.known, for: self) }
  }

  /// Does what the descriptor is ready for.
  @inline(__always)
  private final func serve(_ ready: Interest) {
    if ready.contains(.hangUp) { hungUp() }
    if ready.contains(.read), state.wantsInput { read() }
    if ready.contains(.write) { flush() }
  }

  /// What has to be heard of the descriptor. An end is looked for wherever something is.
  final var wantedInterest: Interest {
    var interest = state.interest(hasUnsentBytes: hasBytesForKernel)
    if !interest.isEmpty || awaitsHangUp { interest.insert(.hangUp) }
    return interest
  }

  /// Has the poller told what is wanted from now on: the last thing that every way in does.
  @inline(__always)
  final func settle() {
    let wanted = wantedInterest
    if wanted != watched { watch(wanted) }
  }

  @inline(never)
  private final func watch(_ wanted: Interest) {
    if claim.isVoid { return }
    watched = wanted
    do throws(Errno) {
      if !isUnwatchable { try loop.setInterest(wanted, for: own.descriptor, claim) }
    } catch {
      // Some character devices, such as `/dev/null`, cannot be watched: they never make anybody wait. Those count as ready
      // in each iteration in which something is wanted of them.
      isUnwatchable = error == .notPermitted && own.kind == .characterDevice
      if !isUnwatchable {
        watched = []
        end(IOError(error, "epoll", name))
      }
    }
    goOnUnwatched()
  }

  // MARK: Turns and times

  /// Has its turn come in the next iteration.
  final func scheduleTurn() {
    guard !hasTurn, !loop.isClosed else { return }
    hasTurn = true
    loop.callSoon { [self] in
      hasTurn = false
      takeTurn()
      settle()
      goOnUnwatched()
    }
  }

  private final func goOnUnwatched() {
    if isUnwatchable, !watched.subtracting(.hangUp).isEmpty { scheduleTurn() }
  }

  /// Has something done in so long, unless it is taken back before.
  final func setTimer(_ delay: Duration, _ action: @escaping () -> Void) {
    cancelTimer()
    makeRarities().timer = loop.callLater(delay) { [self] in
      rarities?.timer = nil
      action()
      settle()
    }
  }

  final func cancelTimer() { rarities?.timer.take()?.cancel() }

  // MARK: As a watcher

  override final func descriptorIsReady(_ ready: Interest) {
    serve(ready)
    settle()
  }

  override final var ownsDescriptor: Bool { !state.hasEnded }

  override final func loopWasClosed() {
    if loop.debug, !state.hasEnded {
      EventLoop.log.warning("a \(Self.titles.noun) (\(name)) was still open when its event loop was closed")
    }
    _ = state.end()
    discardUnsent()
    memory.endings.removeAll()
    release()
  }
}

extension ReadTransport where Self: DescriptorTransport {
  public var isReading: Bool {
    check("isReading")
    return state.isReading
  }

  public func pauseReading() {
    check("pauseReading")
    state.pauseReading()
    settle()
  }

  public func resumeReading() {
    check("resumeReading")
    perform(state.resumeReading())
    settle()
  }
}

extension DescriptorTransport: CustomStringConvertible {
  /// Names what it is and its peer, or its descriptor, such as `connection with 127.0.0.1:80` or `reading pipe 0`.
  public final var description: String { "\(Self.titles.title) \(name)" }
}
