// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import SystemPackage

/// A connection in the making: what is sent until the other host answers, or until the kernel gives up.
final class ConnectAttempt {
  let address: SocketAddress
  private weak var socket: StreamSocket?
  private let path: Path
  private let world: World
  private let capacity: Int
  private let localAddress: SocketAddress
  private var isOver = false
  /// How often it was tried, and how many packets got on their way by that.
  private var tries = 0
  private var packets = 0
  /// What happens if no answer comes: the next try, or giving up.
  private var next: ScheduledEvent?

  /// How long an answer to the first packet is waited for. Linux sends it six times more, each after twice the time.
  private static let patience: Int64 = 1_000_000_000
  private static let tryLimit = 7

  init(_ socket: StreamSocket, _ address: SocketAddress, _ path: Path) {
    self.socket = socket
    self.path = path
    // A wildcard stands for the host itself.
    self.address = address.isWildcard ? socket.localAddress?.withPort(address.port ?? 0) ?? address : address
    world = socket.kernel.world
    capacity = socket.bufferSize
    localAddress = socket.localAddress ?? .unnamed
  }

  func begin() {
    if path.to == nil {
      // Nobody answers the question who has the address.
      next = world.schedule(after: 3_000_000_000) { self.fail(.noRouteToHost) }
      return
    }
    knock()
  }

  func cancel() { end() }

  private func end() {
    isOver = true
    next?.cancel()
    next = nil
  }

  private func knock() {
    let patience = ConnectAttempt.patience << tries
    tries += 1
    let isLast = tries == ConnectAttempt.tryLimit
    next = world.schedule(after: patience) { if isLast { self.fail(.timedOut) } else { self.knock() } }
    guard path.isOpen else { return }
    packets += 1
    let number = packets
    path.carry { [self] in
      // An earlier one has been answered meanwhile, or nobody wants to know any more.
      if !isOver, number == packets { arrived() }
    }
  }

  private func arrived() {
    guard let host = path.to, let kernel = host.kernel else { return }
    let key = PortTable.Key(isDatagram: false, family: address.family, port: address.port ?? 0)
    let listeners = kernel.ports.sockets(at: address, key).compactMap { socket -> (StreamSocket, AcceptQueue)? in
      guard let socket = socket as? StreamSocket, case .listening(let queue) = socket.phase else { return nil }
      return (socket, queue)
    }
    guard !listeners.isEmpty else {
      path.back.carry { self.fail(.connectionRefused) }
      return
    }
    let (listener, queue) = listeners[world.choices.below(listeners.count)]
    // A queue that is full does not answer, so that the other host tries again.
    guard queue.reserve() else { return }
    let (mine, theirs) = StreamEnd.pair(
      world, path, localAddress, address, capacities: (capacity, listener.bufferSize))
    path.back.carry(orElse: { queue.giveUp() }) { [self] in
      guard !isOver, let socket else { return queue.giveUp() }
      end()
      mine.outgoing.put(.established(queue, theirs))
      socket.connectSucceeded(mine)
    }
  }

  private func fail(_ error: Errno) {
    guard !isOver else { return }
    end()
    socket?.connectFailed(error)
  }
}
