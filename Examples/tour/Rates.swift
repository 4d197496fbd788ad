// SPDX-License-Identifier: Apache-2.0
import AsyncIO

/// Something that is counted for a moment.
struct Rate: Sendable {
  let name: String
  let unit: String
  let measure: @Sendable (EventLoop) async throws -> Double

  /// How long a measurement takes.
  static let time = Duration.milliseconds(400)
}

let rates = [
  Rate(name: "echo by callbacks", unit: "round trips/s, 64 connections, 64 bytes", measure: callbackEchoRate),
  Rate(name: "echo by async/await", unit: "round trips/s, 64 connections, 64 bytes", measure: streamEchoRate),
  Rate(name: "callbacks", unit: "callSoon and run, per second", measure: callbackRate),
  Rate(name: "timers", unit: "callLater and run, per second", measure: timerRate),
]

private let connections = 64
private let message = [UInt8](repeating: 120, count: 64)

/// A client that sends the next message once the last one is back.
private final class PingProtocol: StreamProtocol {
  private var transport: StreamTransport?
  private var missing = 0
  private(set) var roundTrips = 0

  func connectionMade(_ transport: StreamTransport) {
    self.transport = transport
    send()
  }

  func dataReceived(_ data: Span<UInt8>) {
    missing -= data.count
    guard missing == 0 else { return }
    roundTrips += 1
    send()
  }

  func close() { transport?.close() }

  private func send() {
    missing = message.count
    transport?.write(message)
  }
}

@Sendable private func callbackEchoRate(_ loop: EventLoop) async throws -> Double {
  let server = try await loop.createServer(EchoProtocol.init, host: "127.0.0.1", port: 0)
  var clients: [PingProtocol] = []
  for _ in 0..<connections {
    let (_, client) = try await loop.createConnection(PingProtocol.init, host: "127.0.0.1", port: server.port)
    clients.append(client)
  }
  let count = { clients.reduce(0) { $0 + $1.roundTrips } }
  let (before, start) = (count(), loop.time)
  try await loop.sleep(for: Rate.time)
  let rate = Double(count() - before) / (start.duration(to: loop.time) / .seconds(1))
  for client in clients { client.close() }
  server.close()
  try await server.waitClosed()
  return rate
}

@Sendable private func streamEchoRate(_ loop: EventLoop) async throws -> Double {
  let server = try await loop.startServer(host: "127.0.0.1", port: 0, echo)
  var roundTrips = 0
  var isOver = false
  let clients = (0..<connections).map { _ in
    loop.createTask {
      let (reader, writer) = try await loop.openConnection(host: "127.0.0.1", port: server.port)
      while !isOver {
        try await writer.send(message)
        _ = try await reader.readExactly(message.count)
        roundTrips += 1
      }
      writer.close()
    }
  }
  while roundTrips < connections { try await loop.sleep(for: .milliseconds(1)) }
  let (before, start) = (roundTrips, loop.time)
  try await loop.sleep(for: Rate.time)
  let rate = Double(roundTrips - before) / (start.duration(to: loop.time) / .seconds(1))
  isOver = true
  for client in clients { try await client.value }
  server.close()
  try await server.waitClosed()
  return rate
}

@Sendable private func callbackRate(_ loop: EventLoop) async throws -> Double {
  var calls = 0
  return try await rate(loop) {
    for _ in 0..<10_000 { loop.callSoon { calls += 1 } }
    try await loop.sleep(for: .zero)
    return calls
  }
}

@Sendable private func timerRate(_ loop: EventLoop) async throws -> Double {
  var calls = 0
  return try await rate(loop) {
    let start = loop.time
    for number in 0..<10_000 { loop.callAt(start.advanced(by: .nanoseconds(100 * number))) { calls += 1 } }
    try await loop.sleep(until: start.advanced(by: .milliseconds(1)))
    return calls
  }
}

/// Does a portion again and again for a moment, and divides the count that it answers by the time that it took.
private func rate(_ loop: EventLoop, _ portion: () async throws -> Int) async throws -> Double {
  let start = loop.time
  var count = 0
  var passed = Duration.zero
  while passed < Rate.time {
    count = try await portion()
    passed = start.duration(to: loop.time)
  }
  return Double(count) / (passed / .seconds(1))
}
