// SPDX-License-Identifier: Apache-2.0
import AsyncIO
import Glibc

/// Does one thing so many times, for whoever counts instructions: the difference of two counts is what the thing costs.
///
/// `cost-probe WHAT TIMES`. `Benchmarks/instructions` counts, and `.ci/costs` sees to it that nothing gets dearer unnoticed.
@main
enum CostProbe {
  static func main() {
    let arguments = CommandLine.arguments
    let name = arguments.count == 3 ? arguments[1] : ""
    guard let thing = things[name == sleepOnMainActor ? "sleep" : name], let times = Int(arguments[2]) else {
      print((things.keys + [sleepOnMainActor]).sorted().joined(separator: "\n"))
      exit(2)
    }
    // This function is MainActor's, and so would be whatever is in it.
    if name == sleepOnMainActor { EventLoop.main { loop in try await thing(loop, times) } }
    start(thing, times)
  }

  private nonisolated static func start(_ thing: @escaping Thing, _ times: Int) {
    EventLoop.main { loop in try await thing(loop, times) }
  }

  private static let sleepOnMainActor = "sleep-main-actor"

  typealias Thing = @Sendable (EventLoop, Int) async throws -> Void

  static let things: [String: Thing] = [
    "call-soon": { loop, times in
      try await inBatches(loop, times) { loop.callSoon {} }
    },
    "call-soon-threadsafe": { loop, times in
      let remote = loop.remote
      try await inBatches(loop, times) { try remote.callSoonThreadsafe { _ in } }
    },
    "timer": { loop, times in
      for _ in 0..<times { loop.callLater(.seconds(10)) {}.cancel() }
    },
    "sleep": { loop, times in
      for _ in 0..<times { try await loop.sleep(for: .zero) }
    },
    "task": { loop, times in
      for _ in 0..<times { try await loop.createTask { try await loop.sleep(for: .zero) }.value }
    },
    "task-value": { loop, times in
      var sum = 0
      for _ in 0..<times { sum += try await loop.createTask { 1 }.value }
      precondition(sum == times)
    },
    "time-limit": { loop, times in
      for _ in 0..<times { try await loop.withTimeout(.seconds(10)) { try await loop.sleep(for: .zero) } }
    },
    "lock": { loop, times in
      let lock = Lock(loop)
      for _ in 0..<times { try await lock.withLock {} }
    },
    "echo-callbacks": { loop, times in
      let (ours, peer) = try Socket.pair()
      _ = try await loop.connectAcceptedSocket(EchoProtocol.init, socket: ours)
      try await exchange(loop, peer, times)
    },
    "echo-streams": { loop, times in
      let (ours, peer) = try Socket.pair()
      let (reader, writer) = try await loop.openConnection(socket: ours)
      let echo = loop.createTask { for try await chunk in reader { try await writer.send(chunk) } }
      try await exchange(loop, peer, times)
      try await echo.value
    },
    "echo-datagrams": { loop, times in
      let (server, _) = try await loop.createDatagramEndpoint(
        DatagramEchoProtocol.init, localAddress: ("127.0.0.1", 0))
      guard let address = server.localAddress else { return }
      let peer = try Socket(.ipv4, .datagram)
      try await loop.sockConnect(peer, address)
      try await exchange(loop, peer, times)
    },
  ]

  /// Does a thing so many times, and has the loop run after each hundred.
  private static func inBatches(_ loop: EventLoop, _ times: Int, _ thing: () throws -> Void) async throws {
    for _ in 0..<times / 100 {
      for _ in 0..<100 { try thing() }
      try await loop.sleep(for: .zero)
    }
  }

  /// Sends a message again each time when it has come back.
  private static func exchange(_ loop: EventLoop, _ peer: Socket, _ times: Int) async throws {
    let descriptor = peer.descriptor.rawValue
    let done = Future<Void>(loop)
    var message = [UInt8](repeating: 7, count: 64)
    var left = times
    func step() throws {
      guard left > 0 else { return try done.setResult(()) }
      left -= 1
      send(descriptor, message, message.count, 0)
    }
    try loop.addReader(peer.descriptor) {
      guard recv(descriptor, &message, message.count, 0) == message.count else { return }
      try step()
    }
    try step()
    try await done.value
    try loop.removeReader(peer.descriptor)
    peer.close()
  }
}

private final class EchoProtocol: StreamProtocol {
  private var transport: StreamTransport?

  func connectionMade(_ transport: StreamTransport) { self.transport = transport }
  func dataReceived(_ data: Span<UInt8>) { transport?.write(data) }
}

private final class DatagramEchoProtocol: DatagramProtocol {
  private var transport: DatagramTransport?

  func connectionMade(_ transport: DatagramTransport) { self.transport = transport }
  func datagramReceived(_ data: Span<UInt8>, from sender: SocketAddress) { transport?.sendTo(data, sender) }
}
