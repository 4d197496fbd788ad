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
  private var tries = 0

  /// When the first packet is sent again, after the first time: Linux's six retries, each after twice the time.
  private static let retries: [Int64] = [1, 3, 7, 15, 31, 63].map { $0 * 1_000_000_000 }
  private static let timeout: Int64 = 127_000_000_000

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
      world.schedule(after: 3_000_000_000) { self.fail(.noRouteToHost) }
      return
    }
    knock()
    for retry in ConnectAttempt.retries { world.schedule(after: retry) { self.knock() } }
    world.schedule(after: ConnectAttempt.timeout) { self.fail(.timedOut) }
  }

  func cancel() { isOver = true }

  private func knock() {
    guard !isOver, path.isOpen else { return }
    tries += 1
    let number = tries
    path.carry { [self] in
      // An earlier one has been answered meanwhile, or nobody wants to know any more.
      if !isOver, number == tries { arrived() }
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
    let (listener, queue) = listeners[world.choose(listeners.count)]
    // A queue that is full does not answer, so that the other host tries again.
    guard queue.reserve() else { return }
    let (mine, theirs) = StreamEnd.pair(
      world, path, localAddress, address, capacities: (capacity, listener.bufferSize))
    path.back.carry(orElse: { queue.giveUp() }) { [self] in
      guard !isOver, let socket else { return queue.giveUp() }
      isOver = true
      mine.outgoing.put(.established(queue, theirs))
      socket.connectSucceeded(mine)
    }
  }

  private func fail(_ error: Errno) {
    guard !isOver else { return }
    isOver = true
    socket?.connectFailed(error)
  }
}
