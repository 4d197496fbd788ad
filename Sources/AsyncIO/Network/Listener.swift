// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Accepts connections on one listening socket.
final class Listener: ReadinessWatcher {
  /// How long to wait after the machine ran out of descriptors or memory.
  static let pause = Duration.seconds(1)

  private let loop: EventLoop
  let socket: Socket
  /// How many connections one readiness accepts at the most, and how many the kernel queues.
  private let backlog: Int
  /// Whether a socket that listens already keeps the queue that it has.
  private let keepsQueue: Bool
  /// Who takes the connections; nil once closed, since the server and this refer to each other.
  private var accepted: ((Socket, SocketAddress?) -> Void)?
  private var isListening = false
  /// Runs out when accepting goes on; nil while it goes on.
  private var pauseTimer: TimerHandle?

  /// - Parameter backlog: nil for the usual number, where the socket has none already.
  init(_ loop: EventLoop, _ socket: Socket, backlog: Int?, accepted: @escaping (Socket, SocketAddress?) -> Void) {
    self.loop = loop
    self.socket = socket
    self.backlog = backlog ?? 100
    keepsQueue = backlog == nil
    self.accepted = accepted
    super.init()
    loop.claim(socket.descriptor, for: self)
  }

  func start() throws(IOError) {
    guard !isListening else { return }
    let keeps = keepsQueue && (try? socket.option(.acceptsConnections)) == true
    if !keeps { try socket.listen(backlog: backlog) }
    do throws(Errno) {
      try loop.setInterest(.read, for: socket.descriptor)
    } catch {
      throw IOError(error, "listen", socket.localAddress?.description)
    }
    isListening = true
  }

  /// Stops accepting; the socket stays as it is.
  func stop() {
    guard isListening else { return }
    isListening = false
    pauseTimer?.cancel()
    pauseTimer = nil
    try? loop.setInterest([], for: socket.descriptor)
  }

  func close() {
    release()
    socket.closeDescriptor()
  }

  /// Ends without closing the socket, which is whose it was before.
  func handBack() {
    release()
    socket.handBack()
  }

  private func release() {
    isListening = false
    accepted = nil
    pauseTimer?.cancel()
    pauseTimer = nil
    if !loop.isClosed { loop.release(socket.descriptor) }
  }

  override func descriptorIsReady(_ ready: Interest) {
    for _ in 0..<max(1, backlog) {
      // A protocol may close its server from `connectionMade`.
      guard isListening, pauseTimer == nil else { return }
      do throws(Errno) {
        let (descriptor, address) = try loop.kernel.accept(socket.descriptor)
        accepted?(Socket(adopting: descriptor, kernel: loop.kernel), address)
      } catch {
        handle(error)
        return
      }
    }
  }

  private func handle(_ error: Errno) {
    switch error {
    case .wouldBlock, Errno.interrupted, .connectionAbort, .networkDown, .protocolError, .protocolNotAvailable,
      .hostIsDown,
      .noRouteToHost, .networkUnreachable:
      // Nothing there, or a connection that broke before we got to it.
      return
    default:
      pause(error)
    }
  }

  /// Reports the failure, and tries again a little later.
  private func pause(_ error: Errno) {
    var context = ExceptionContext(
      message: "accepting connections failed; trying again in \(Listener.pause)",
      error: IOError(error, "accept", socket.localAddress?.description))
    context.socket = socket
    loop.callExceptionHandler(context)
    guard isListening else { return }
    // The pending connection keeps the socket readable: without a pause the loop would spin.
    try? loop.setInterest([], for: socket.descriptor)
    pauseTimer = loop.callLater(Listener.pause) { [unowned self] in goOn() }
  }

  private func goOn() {
    pauseTimer = nil
    do throws(Errno) {
      try loop.setInterest(.read, for: socket.descriptor)
    } catch {
      // What was short may be short still.
      pause(error)
    }
  }

  override func loopWasClosed() { close() }
}
