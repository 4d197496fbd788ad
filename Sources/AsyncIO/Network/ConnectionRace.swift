// SPDX-License-Identifier: Apache-2.0

/// Connects to several addresses at a time, each begun a little after the one before, and keeps the first that answers
/// (RFC 8305, "happy eyeballs").
final class ConnectionRace {
  private let connector: Connector
  private let delay: Duration
  /// The addresses that were not tried yet, the next one last.
  private var waiting: [AddressInfo]
  private var attempts: [LoopTask<Void>] = []
  private var running = 0
  private var winner: Socket?
  /// What became of the attempts that failed, in the order in which they did.
  private(set) var failures: [IOError] = []
  /// Something other than a refused connection, such as a lack of descriptors' bookkeeping: it ends the race.
  private var fatal: (any Error)?
  private var startTimer: TimerHandle?
  private var isOver = false
  /// Where the task that runs the race waits for its end, and for the last attempt's.
  private let changes: Gate

  private var loop: EventLoop { connector.loop }

  init(_ connector: Connector, _ addresses: [AddressInfo], delay: Duration) {
    self.connector = connector
    changes = Gate(connector.loop)
    self.delay = delay
    waiting = addresses.reversed()
  }

  /// The first connection; nil when every attempt failed. No other one is left open, whatever happens.
  func run() async throws -> Socket? {
    startNext()
    do {
      try await changes.waitUntil("createConnection") { isOver }
    } catch {
      end()
      await changes.waitRegardless { running == 0 }
      winner?.close()
      throw error
    }
    // Those that were called off have their sockets to close, also when the caller is cancelled.
    await changes.waitRegardless { running == 0 }
    if let fatal, winner == nil { throw fatal }
    return winner
  }

  private func startNext() {
    startTimer?.cancel()
    startTimer = nil
    guard let address = waiting.popLast() else {
      if running == 0 { end() }
      return
    }
    running += 1
    attempts.append(loop.createTask(name: "connect \(address.address)") { [self] in await attempt(address) })
    if !waiting.isEmpty { startTimer = loop.callLater(delay) { [self] in startNext() } }
  }

  private func attempt(_ address: AddressInfo) async {
    do {
      let socket = try await connector.connect(address)
      if isOver {
        socket.close()
      } else {
        winner = socket
        end()
      }
    } catch let error as IOError {
      failures.append(error)
    } catch {
      if !isOver {
        fatal = error
        end()
      }
    }
    running -= 1
    if isOver {
      changes.wakeAll()
    } else {
      // A failure makes room at once.
      startNext()
    }
  }

  private func end() {
    guard !isOver else { return }
    isOver = true
    startTimer?.cancel()
    for attempt in attempts { attempt.cancel() }
    attempts.removeAll()
    changes.wakeAll()
  }
}

extension [AddressInfo] {
  /// The addresses in turns of their families, beginning with `first` of the family that the resolver prefers.
  func interleaved(first: Int) -> [AddressInfo] {
    guard let preferred = self.first?.family else { return [] }
    var same = filter { $0.family == preferred }[...]
    var other = filter { $0.family != preferred }[...]
    var mixed = [AddressInfo](same.prefix(Swift.max(1, first)))
    same = same.dropFirst(mixed.count)
    while let next = other.popFirst() {
      mixed.append(next)
      if let next = same.popFirst() { mixed.append(next) }
    }
    return mixed + same
  }
}
